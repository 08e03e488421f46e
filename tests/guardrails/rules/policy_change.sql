-- objected
CREATE POLICY p ON orders USING (true);

CREATE RULE r AS ON UPDATE TO orders DO ALSO NOTHING;

-- passed
COMMENT ON POLICY p ON orders IS 'seen';
