-- Product descriptions, and their departments as classes.
SELECT
  product_id,
  department,
  product_type,
  -- The ten departments with the most products, the largest one first; 10 is all others.
  coalesce(
    nullif(
      array_position(
        array('GROCERY', 'DRUG GM', 'PRODUCE', 'COSMETICS', 'NUTRITION', 'MEAT', 'MEAT-PCKGD', 'DELI', 'PASTRY', 'FLORAL'),
        department),
      0),
    11) - 1 AS class,
  concat_ws(' ', product_type, package_size) AS text,
  -- All products of a type are on one side of a split: packages of two sizes are near copies.
  pmod(hash(product_type), 10) AS fold
FROM products
WHERE product_type IS NOT NULL
