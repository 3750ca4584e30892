-- What each manufacturer makes, as one text: the types of all its products.
SELECT
  manufacturer_id,
  count(DISTINCT product_type) AS types,
  concat_ws(' ', sort_array(collect_set(product_type))) AS text
FROM products
WHERE product_type IS NOT NULL
GROUP BY manufacturer_id
