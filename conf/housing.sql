-- One row per tract. The file has no ids: the hash of all its values names a tract.
select
  xxhash64(*) as tract,
  * except (residents),
  -- 60 % to learn from, 20 % to choose by, 20 % to measure on; which, the hash says.
  case
    when pmod(hash(xxhash64(*)), 10) < 6 then 'train'
    when pmod(hash(xxhash64(*)), 10) < 8 then 'validation'
    else 'test'
  end as part
from tracts
