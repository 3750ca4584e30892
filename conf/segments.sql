-- One row per household that bought something in the year: how often, how much, how recently, at
-- what discount, and which share of its money goes to which department.

WITH lines AS (
  SELECT
    transactions.household_id,
    transactions.basket_id,
    transactions.week,
    transactions.sales_value,
    transactions.retail_disc + transactions.coupon_disc + transactions.coupon_match_disc AS discount,
    transactions.transaction_timestamp,
    products.department,
    products.product_category,
    products.brand
  FROM transactions
  JOIN products ON products.product_id = transactions.product_id
  WHERE transactions.sales_value >= 0
)

SELECT
  household_id,
  count(DISTINCT basket_id) AS visits,
  count(DISTINCT week) AS weeks,
  datediff(date'2018-01-01', max(transaction_timestamp)) AS days_since_purchase,
  sum(sales_value) AS sales,
  sum(sales_value) / count(DISTINCT basket_id) AS sales_per_visit,
  count(DISTINCT product_category) AS categories,
  coalesce(try_divide(sum(discount), sum(sales_value + discount)), 0.0) AS discount_share,
  coalesce(try_divide(sum(if(brand = 'Private', sales_value, 0.0)), sum(sales_value)), 0.0)
    AS own_brand_share,
  coalesce(try_divide(sum(if(department = 'GROCERY', sales_value, 0.0)), sum(sales_value)), 0.0)
    AS grocery_share,
  coalesce(try_divide(sum(if(department IN ('MEAT', 'MEAT-PCKGD', 'SEAFOOD'), sales_value, 0.0)),
    sum(sales_value)), 0.0) AS meat_share,
  coalesce(try_divide(sum(if(department = 'PRODUCE', sales_value, 0.0)), sum(sales_value)), 0.0)
    AS produce_share,
  coalesce(try_divide(sum(if(department = 'DRUG GM', sales_value, 0.0)), sum(sales_value)), 0.0)
    AS drug_share,
  coalesce(try_divide(sum(if(department = 'FUEL', sales_value, 0.0)), sum(sales_value)), 0.0)
    AS fuel_share
FROM lines
GROUP BY household_id
