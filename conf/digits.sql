-- One row per picture. A line of the file is 784 pixels (0 to 255, row by row) and the digit.
-- The file has no ids: the hash of a line names its picture, and copies of a picture are one row.
with pictures as (
  select distinct
    xxhash64(line) as picture,
    transform(slice(split(line, ','), 1, 784), pixel -> cast(pixel as float) / 255) as image,
    cast(element_at(split(line, ','), 785) as int) as digit
  from lines
)
-- 70 % to learn from, 10 % to choose by, 20 % to measure on; which, the hash says.
select
  picture,
  image,
  digit,
  case
    when pmod(hash(picture), 10) < 7 then 'train'
    when pmod(hash(picture), 10) < 8 then 'validation'
    else 'test'
  end as part
from pictures
