-- objected
LOCK TABLE orders;

LOCK orders IN SHARE MODE;

-- passed
LOCK TABLE orders IN ROW EXCLUSIVE MODE;
