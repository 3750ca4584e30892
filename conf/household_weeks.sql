-- One row per household and week: will this household shop in the next 7 days?
--
-- keys      household_id, anchor_date. An anchor is a Sunday t, the last day of the retailer's
--           week, and `week` is its number: 1 for the one that ends on 2017-01-01, 53 for the last.
-- features  use what happened on days <= t only. A suffix tells the window: _7, _28 and _91 are the
--           last 7, 28 and 91 days up to and including t. The first anchor is the first Sunday
--           with 91 days of data. A household has rows from the week on in which it is first seen.
-- label     `shops`: 1 if the household buys anything in (t, t + 7 days], else 0; null for the newest
--           anchor, whose 7 days lie ahead. Rows with a null label are there to be predicted.
--
-- Periods that must not share a label window leave one week out between them: the window of
-- anchor t ends on the day of anchor t + 7.
--
-- Days are the shops' own days. The timestamps are UTC and the shops keep US Eastern time: in that
-- zone, and only in it, the source's `week` runs from Monday to Sunday for every line, and every
-- coupon is redeemed on a day on which its household shops.
--
-- All windows are whole weeks, so every measure is first summed by household and week, and a
-- window is a sum over the last 1, 4 or 13 weeks of a household, weeks without a visit included.

WITH lines AS (
  SELECT
    transactions.household_id,
    transactions.basket_id,
    transactions.transaction_timestamp,
    transactions.sales_value AS sales,
    transactions.retail_disc AS retail_discount,
    transactions.coupon_disc AS coupon_discount,
    transactions.coupon_match_disc AS coupon_match_discount,
    products.department,
    -- Fuel is counted in thousandths of a gallon and the till's coupon lines in points.
    CASE
      WHEN products.department = 'FUEL' OR products.product_category = 'COUPON/MISC ITEMS' THEN 0
      ELSE transactions.quantity
    END AS items
  FROM transactions
  LEFT JOIN products ON products.product_id = transactions.product_id
),

baskets AS (
  SELECT
    household_id,
    basket_id,
    from_utc_timestamp(transaction_timestamp, 'America/New_York') AS moment,
    count(*) AS products,
    sum(items) AS items,
    sum(sales) AS sales,
    sum(retail_discount) AS retail_discount,
    sum(coupon_discount) AS coupon_discount,
    sum(coupon_match_discount) AS coupon_match_discount,
    sum(CASE WHEN department = 'GROCERY' THEN sales ELSE 0 END) AS grocery,
    sum(CASE WHEN department = 'DRUG GM' THEN sales ELSE 0 END) AS drug_gm,
    sum(CASE WHEN department = 'FUEL' THEN sales ELSE 0 END) AS fuel,
    sum(CASE WHEN department = 'PRODUCE' THEN sales ELSE 0 END) AS produce,
    sum(CASE WHEN department = 'MEAT' THEN sales ELSE 0 END) AS meat,
    sum(CASE WHEN department = 'MEAT-PCKGD' THEN sales ELSE 0 END) AS meat_packaged,
    sum(CASE WHEN department = 'DELI' THEN sales ELSE 0 END) AS deli,
    sum(CASE WHEN department = 'MISCELLANEOUS' THEN sales ELSE 0 END) AS miscellaneous,
    sum(CASE WHEN department = 'PASTRY' THEN sales ELSE 0 END) AS pastry,
    sum(CASE WHEN department = 'NUTRITION' THEN sales ELSE 0 END) AS nutrition,
    sum(CASE WHEN department = 'SEAFOOD-PCKGD' THEN sales ELSE 0 END) AS seafood_packaged,
    sum(CASE WHEN department = 'FLORAL' THEN sales ELSE 0 END) AS floral,
    sum(CASE WHEN department = 'COSMETICS' THEN sales ELSE 0 END) AS cosmetics,
    sum(CASE WHEN department = 'SALAD BAR' THEN sales ELSE 0 END) AS salad_bar,
    sum(CASE WHEN department = 'SEAFOOD' THEN sales ELSE 0 END) AS seafood,
    sum(CASE WHEN department = 'SPIRITS' THEN sales ELSE 0 END) AS spirits,
    sum(CASE WHEN department = 'GARDEN CENTER' THEN sales ELSE 0 END) AS garden_center,
    sum(CASE
      WHEN department IN (
        'GROCERY', 'DRUG GM', 'FUEL', 'PRODUCE', 'MEAT', 'MEAT-PCKGD', 'DELI', 'MISCELLANEOUS',
        'PASTRY', 'NUTRITION', 'SEAFOOD-PCKGD', 'FLORAL', 'COSMETICS', 'SALAD BAR', 'SEAFOOD',
        'SPIRITS', 'GARDEN CENTER'
      ) THEN 0
      ELSE sales
    END) AS other
  FROM lines
  GROUP BY household_id, basket_id, transaction_timestamp
),

-- Days since the household's previous visit; null on its first, 0 for a second basket of a day.
ordered_baskets AS (
  SELECT
    *,
    next_day(date_sub(day, 1), 'SUN') AS anchor_date,
    datediff(day, lag(day) OVER (PARTITION BY household_id ORDER BY moment, basket_id)) AS gap
  FROM (SELECT *, to_date(moment) AS day, hour(moment) AS hour FROM baskets)
),

weekly AS (
  SELECT
    household_id,
    anchor_date,
    count(*) AS baskets,
    count_if(gap IS NULL OR gap > 0) AS visits,
    min(day) AS first_day,
    max(day) AS last_day,
    sum(gap * gap) AS squared_gaps,
    count_if(dayofweek(day) IN (1, 7)) AS weekend_baskets,
    count_if(hour >= 17) AS evening_baskets,
    sum(products) AS products,
    sum(items) AS items,
    sum(sales) AS sales,
    sum(retail_discount) AS retail_discount,
    sum(coupon_discount) AS coupon_discount,
    sum(coupon_match_discount) AS coupon_match_discount,
    sum(grocery) AS grocery,
    sum(drug_gm) AS drug_gm,
    sum(fuel) AS fuel,
    sum(produce) AS produce,
    sum(meat) AS meat,
    sum(meat_packaged) AS meat_packaged,
    sum(deli) AS deli,
    sum(miscellaneous) AS miscellaneous,
    sum(pastry) AS pastry,
    sum(nutrition) AS nutrition,
    sum(seafood_packaged) AS seafood_packaged,
    sum(floral) AS floral,
    sum(cosmetics) AS cosmetics,
    sum(salad_bar) AS salad_bar,
    sum(seafood) AS seafood,
    sum(spirits) AS spirits,
    sum(garden_center) AS garden_center,
    sum(other) AS other
  FROM ordered_baskets
  GROUP BY household_id, anchor_date
),

-- Distinct stores of a window cannot be summed over weeks. A store that is visited in a week counts
-- for the 13 anchors from then on, or until the week in which it is visited again: so it adds 1 at
-- the start and takes it away at the end, and a running sum gives the distinct number.
store_weeks AS (
  SELECT DISTINCT
    household_id,
    store_id,
    next_day(
      date_sub(to_date(from_utc_timestamp(transaction_timestamp, 'America/New_York')), 1), 'SUN'
    ) AS anchor_date
  FROM transactions
),

store_changes AS (
  SELECT household_id, change_date AS anchor_date, sum(step) AS store_change
  FROM (
    SELECT
      household_id,
      anchor_date,
      least(
        date_add(anchor_date, 91),
        lead(anchor_date) OVER (PARTITION BY household_id, store_id ORDER BY anchor_date)
      ) AS end_date
    FROM store_weeks
  )
  LATERAL VIEW stack(2, anchor_date, 1, end_date, -1) AS change_date, step
  GROUP BY household_id, change_date
),

data_days AS (
  SELECT
    to_date(from_utc_timestamp(min(transaction_timestamp), 'America/New_York')) AS first_day,
    to_date(from_utc_timestamp(max(transaction_timestamp), 'America/New_York')) AS last_day
  FROM transactions
),

-- Every Sunday from the end of the data's first week to the end of its last whole one.
anchors AS (
  SELECT
    anchor_date,
    CAST(datediff(anchor_date, DATE'2017-01-01') DIV 7 AS INT) + 1 AS week,
    datediff(anchor_date, first_day) >= 90 AS has_full_window,
    month(anchor_date) AS month,
    weekofyear(anchor_date) AS week_of_year,
    datediff(array_min(filter(holidays, holiday -> holiday > anchor_date)), anchor_date)
      AS days_to_holiday
  FROM (
    SELECT
      first_day,
      sequence(
        next_day(date_sub(first_day, 1), 'SUN'),
        greatest(next_day(date_sub(first_day, 1), 'SUN'), next_day(date_sub(last_day, 7), 'SUN')),
        INTERVAL 7 DAYS
      ) AS sundays,
      flatten(transform(
        sequence(year(first_day), year(last_day) + 1),
        year -> array(
          make_date(year, 1, 1),
          next_day(make_date(year, 5, 24), 'MON'),                 -- Memorial Day
          make_date(year, 7, 4),
          next_day(make_date(year, 8, 31), 'MON'),                 -- Labor Day
          date_add(next_day(make_date(year, 10, 31), 'THU'), 21),  -- Thanksgiving
          make_date(year, 12, 25)
        )
      )) AS holidays
    FROM data_days
  )
  LATERAL VIEW explode(sundays) AS anchor_date
),

household_anchors AS (
  SELECT households.household_id, anchors.*
  FROM (
    SELECT
      household_id,
      to_date(from_utc_timestamp(min(transaction_timestamp), 'America/New_York')) AS first_day
    FROM transactions
    GROUP BY household_id
  ) AS households
  JOIN anchors ON anchors.anchor_date >= households.first_day
),

redemptions AS (
  SELECT
    household_id,
    next_day(date_sub(to_date(redemption_date), 1), 'SUN') AS anchor_date,
    count(*) AS redemptions
  FROM coupon_redemptions
  GROUP BY household_id, next_day(date_sub(to_date(redemption_date), 1), 'SUN')
),

campaign_counts AS (
  SELECT
    campaigns.household_id,
    anchors.anchor_date,
    count_if(to_date(end_date) >= anchor_date) AS campaigns_active,
    count(*) AS campaigns_91
  FROM campaigns
  JOIN campaign_descriptions ON campaign_descriptions.campaign_id = campaigns.campaign_id
  JOIN anchors
    ON to_date(start_date) <= anchor_date AND to_date(end_date) > date_sub(anchor_date, 91)
  GROUP BY campaigns.household_id, anchors.anchor_date
),

windows AS (
  SELECT
    household_anchors.*,
    lead(coalesce(visits, 0)) OVER weeks AS next_visits,
    datediff(anchor_date, max(last_day) OVER until_now) AS days_since_purchase,
    coalesce(visits, 0) AS visits_7,
    coalesce(baskets, 0) AS baskets_7,
    coalesce(sales, 0) AS sales_7,
    coalesce(sum(visits) OVER last_28, 0) AS visits_28,
    coalesce(sum(baskets) OVER last_28, 0) AS baskets_28,
    coalesce(sum(sales) OVER last_28, 0) AS sales_28,
    coalesce(sum(items) OVER last_28, 0) AS items_28,
    coalesce(sum(retail_discount) OVER last_28, 0) AS retail_discount_28,
    coalesce(sum(coupon_discount) OVER last_28, 0) AS coupon_discount_28,
    coalesce(sum(coupon_match_discount) OVER last_28, 0) AS coupon_match_discount_28,
    coalesce(sum(redemptions) OVER last_28, 0) AS redemptions_28,
    coalesce(sum(visits) OVER last_91, 0) AS visits_91,
    coalesce(sum(baskets) OVER last_91, 0) AS baskets_91,
    coalesce(sum(sales) OVER last_91, 0) AS sales_91,
    coalesce(sum(products) OVER last_91, 0) AS products_91,
    coalesce(sum(items) OVER last_91, 0) AS items_91,
    coalesce(sum(retail_discount) OVER last_91, 0) AS retail_discount_91,
    coalesce(sum(coupon_discount) OVER last_91, 0) AS coupon_discount_91,
    coalesce(sum(coupon_match_discount) OVER last_91, 0) AS coupon_match_discount_91,
    coalesce(sum(redemptions) OVER last_91, 0) AS redemptions_91,
    coalesce(sum(weekend_baskets) OVER last_91, 0) AS weekend_baskets_91,
    coalesce(sum(evening_baskets) OVER last_91, 0) AS evening_baskets_91,
    coalesce(sum(grocery) OVER last_91, 0) AS grocery_91,
    coalesce(sum(drug_gm) OVER last_91, 0) AS drug_gm_91,
    coalesce(sum(fuel) OVER last_91, 0) AS fuel_91,
    coalesce(sum(produce) OVER last_91, 0) AS produce_91,
    coalesce(sum(meat) OVER last_91, 0) AS meat_91,
    coalesce(sum(meat_packaged) OVER last_91, 0) AS meat_packaged_91,
    coalesce(sum(deli) OVER last_91, 0) AS deli_91,
    coalesce(sum(miscellaneous) OVER last_91, 0) AS miscellaneous_91,
    coalesce(sum(pastry) OVER last_91, 0) AS pastry_91,
    coalesce(sum(nutrition) OVER last_91, 0) AS nutrition_91,
    coalesce(sum(seafood_packaged) OVER last_91, 0) AS seafood_packaged_91,
    coalesce(sum(floral) OVER last_91, 0) AS floral_91,
    coalesce(sum(cosmetics) OVER last_91, 0) AS cosmetics_91,
    coalesce(sum(salad_bar) OVER last_91, 0) AS salad_bar_91,
    coalesce(sum(seafood) OVER last_91, 0) AS seafood_91,
    coalesce(sum(spirits) OVER last_91, 0) AS spirits_91,
    coalesce(sum(garden_center) OVER last_91, 0) AS garden_center_91,
    coalesce(sum(other) OVER last_91, 0) AS other_91,
    count_if(visits > 0) OVER last_28 AS weeks_shopped_28,
    count_if(visits > 0) OVER last_91 AS weeks_shopped_91,
    -- Of the gaps between visits only those count that lie in the window: so not the one that leads
    -- from the last visit before the window to the first one in it.
    datediff(max(last_day) OVER last_91, min(first_day) OVER last_91) AS days_between,
    sum(squared_gaps) OVER last_91
      - coalesce(pow(datediff(min(first_day) OVER last_91, max(last_day) OVER before), 2), 0)
      AS squared_gaps,
    coalesce(sum(store_change) OVER until_now, 0) AS stores_91
  FROM household_anchors
  LEFT JOIN weekly USING (household_id, anchor_date)
  LEFT JOIN store_changes USING (household_id, anchor_date)
  LEFT JOIN redemptions USING (household_id, anchor_date)
  WINDOW
    weeks AS (PARTITION BY household_id ORDER BY anchor_date),
    until_now AS (
      PARTITION BY household_id ORDER BY anchor_date
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ),
    before AS (
      PARTITION BY household_id ORDER BY anchor_date
      ROWS BETWEEN UNBOUNDED PRECEDING AND 13 PRECEDING
    ),
    last_28 AS (
      PARTITION BY household_id ORDER BY anchor_date ROWS BETWEEN 3 PRECEDING AND CURRENT ROW
    ),
    last_91 AS (
      PARTITION BY household_id ORDER BY anchor_date ROWS BETWEEN 12 PRECEDING AND CURRENT ROW
    )
)

SELECT
  windows.household_id,
  windows.anchor_date,
  windows.week,
  CASE WHEN next_visits > 0 THEN 1 WHEN next_visits = 0 THEN 0 END AS shops,
  CAST(visits_7 > 0 AS INT) AS shopped_last_week,
  days_since_purchase,
  CAST(visits_7 AS INT) AS visits_7,
  CAST(visits_28 AS INT) AS visits_28,
  CAST(visits_91 AS INT) AS visits_91,
  CAST(baskets_7 AS INT) AS baskets_7,
  CAST(baskets_28 AS INT) AS baskets_28,
  CAST(baskets_91 AS INT) AS baskets_91,
  CAST(weeks_shopped_28 AS INT) AS weeks_shopped_28,
  CAST(weeks_shopped_91 AS INT) AS weeks_shopped_91,
  sales_7,
  sales_28,
  sales_91,
  sales_28 / nullif(sales_91, 0) AS sales_trend,
  sales_91 / nullif(baskets_91, 0) AS basket_mean_91,
  products_91 / nullif(baskets_91, 0) AS products_per_basket_91,
  days_between / nullif(visits_91 - 1, 0) AS gap_mean_91,
  -- The sample's standard deviation, from three visits on.
  CASE
    WHEN visits_91 >= 3
      THEN sqrt((squared_gaps - days_between * days_between / (visits_91 - 1)) / (visits_91 - 2))
  END AS gap_std_91,
  CAST(items_28 AS INT) AS items_28,
  CAST(items_91 AS INT) AS items_91,
  CAST(redemptions_28 AS INT) AS redemptions_28,
  CAST(redemptions_91 AS INT) AS redemptions_91,
  retail_discount_28,
  retail_discount_91,
  coupon_discount_28,
  coupon_discount_91,
  coupon_match_discount_28,
  coupon_match_discount_91,
  CAST(coalesce(campaigns_active, 0) AS INT) AS campaigns_active,
  CAST(coalesce(campaigns_91, 0) AS INT) AS campaigns_91,
  CAST(stores_91 AS INT) AS stores_91,
  weekend_baskets_91 / nullif(baskets_91, 0) AS weekend_share,
  evening_baskets_91 / nullif(baskets_91, 0) AS evening_share,
  grocery_91 / nullif(sales_91, 0) AS share_grocery,
  drug_gm_91 / nullif(sales_91, 0) AS share_drug_gm,
  fuel_91 / nullif(sales_91, 0) AS share_fuel,
  produce_91 / nullif(sales_91, 0) AS share_produce,
  meat_91 / nullif(sales_91, 0) AS share_meat,
  meat_packaged_91 / nullif(sales_91, 0) AS share_meat_packaged,
  deli_91 / nullif(sales_91, 0) AS share_deli,
  miscellaneous_91 / nullif(sales_91, 0) AS share_miscellaneous,
  pastry_91 / nullif(sales_91, 0) AS share_pastry,
  nutrition_91 / nullif(sales_91, 0) AS share_nutrition,
  seafood_packaged_91 / nullif(sales_91, 0) AS share_seafood_packaged,
  floral_91 / nullif(sales_91, 0) AS share_floral,
  cosmetics_91 / nullif(sales_91, 0) AS share_cosmetics,
  salad_bar_91 / nullif(sales_91, 0) AS share_salad_bar,
  seafood_91 / nullif(sales_91, 0) AS share_seafood,
  spirits_91 / nullif(sales_91, 0) AS share_spirits,
  garden_center_91 / nullif(sales_91, 0) AS share_garden_center,
  other_91 / nullif(sales_91, 0) AS share_other,
  age,
  income,
  home_ownership,
  marital_status,
  household_size,
  household_comp AS household_composition,
  kids_count,
  CAST(demographics.household_id IS NOT NULL AS INT) AS has_demographics,
  month,
  week_of_year,
  days_to_holiday
FROM windows
LEFT JOIN campaign_counts
  ON campaign_counts.household_id = windows.household_id
  AND campaign_counts.anchor_date = windows.anchor_date
LEFT JOIN demographics ON demographics.household_id = windows.household_id
WHERE has_full_window
