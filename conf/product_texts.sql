-- Product descriptions: what a product is and how large a package, and what it is in two ways.
SELECT
  product_id,
  coalesce(department, 'NONE') AS department,
  product_type,
  cast(department = 'GROCERY' AS int) AS grocery,
  concat_ws(' ', product_type, package_size) AS text,
  -- All products of a type are on one side of a split: packages of two sizes are near copies.
  pmod(hash(product_type), 10) AS fold
FROM products
WHERE product_type IS NOT NULL
