-- One row per basket and product category, with the week in which it was bought. Fuel and the
-- till's own lines (coupons, miscellaneous) are no goods that a shopper combines.

SELECT DISTINCT
  transactions.basket_id,
  transactions.week,
  products.product_category AS category
FROM transactions
JOIN products ON products.product_id = transactions.product_id
WHERE products.product_category IS NOT NULL
  AND products.department <> 'FUEL'
  AND products.product_category NOT IN ('COUPON/MISC ITEMS', 'MISCELLANEOUS')
