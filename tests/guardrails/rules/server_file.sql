-- objected
COPY orders TO '/tmp/orders.csv';

COPY orders FROM PROGRAM 'curl http://example.com';

-- passed
COPY orders FROM STDIN;

COPY orders TO STDOUT;
