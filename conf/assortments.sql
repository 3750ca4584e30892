-- What each manufacturer makes, as one text: short texts pooled by author.
SELECT
  manufacturer_id,
  concat_ws(' ', sort_array(collect_list(product_type))) AS text
FROM products
WHERE product_type IS NOT NULL
GROUP BY manufacturer_id
