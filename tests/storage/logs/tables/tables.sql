-- Tables whose names and columns are as nasty as PostgreSQL lets them be, and one with a column of every common type.

CREATE SCHEMA "we.ird";
CREATE TABLE "we.ird"."ta""ble/100%; DROP" ("table" integer PRIMARY KEY, "a.b" text, "say ""hi"" 100%s" text, "列 'é'" text);
INSERT INTO "we.ird"."ta""ble/100%; DROP" VALUES (1, 'dot', 'quote %s %(x)s', '值'), (2, NULL, '', 'it''s \ here');

CREATE TABLE "we" (id integer);
CREATE SCHEMA other;
CREATE TABLE other."we" (id integer);
CREATE TABLE "public.x" (id integer);

CREATE TYPE mood AS ENUM ('=sad', 'happy');
CREATE DOMAIN short AS varchar(3);
CREATE DOMAIN shorter AS short CHECK (length(VALUE) < 3);
CREATE TYPE pair AS (a integer, b text);

CREATE TABLE kinds (
    id integer PRIMARY KEY, big bigint, exact numeric(30, 15), approximate double precision, flag boolean,
    "text" text, limited varchar(3), padded char(4), day date, clock timestamp, moment timestamptz, hour time,
    span interval, uuid uuid, raw bytea, doc json, tree jsonb, numbers integer[], words text[], docs json[],
    mood mood, place point, host inet, shop shorter, "both" pair, bits varbit, xml xml, width int4range, price money,
    moments timestamptz[]
);
INSERT INTO kinds VALUES
    (1, 9007199254740993, 1234567890.123456789012345, 0.1, true, 'plain', 'abc', 'ab', '2026-03-29',
     '2026-03-29 02:30:00.123456', '2026-03-29 01:30:00.5+00', '13:14:15', '1 day 02:00', '0193a6f2-0000-7000-8000-000000000001',
     '\x00ff5c', E'{"a": 1,\n "b": "x"}', '{"b": [1, 2.50], "a": null}', '{1,NULL,3}', '{"a,b","q\"q"}',
     array['{"x":1}'::json], 'happy', '(1,2)', '192.0.2.1', 'ab', '(5,"x y")', B'1010', '<a>1</a>', '[1,5)', '-1234.50',
     '{2026-01-01 00:00+00}'),
    (2, -1, -0.5, 'NaN', false, '', '', '', '0044-03-15 BC', '-infinity', 'infinity', '00:00', '-1 day', NULL, '', 'null', '-5',
     '{}', '{}', NULL, '=sad', NULL, NULL, '', NULL, B'', NULL, 'empty', NULL, NULL),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (4, 10, 2, 1e300, true, ' =1+1', '%_', 'ab c', '9999-12-31', '2026-10-25 02:30', '0044-03-15 00:00+00 BC', '23:59:59.999999', '0',
     NULL, '\xdeadbeef', '[]', '"=cmd"', '{-1}', '{=x}', NULL, 'happy', '(0,0)', '2001:db8::1', '=', '(-1,=y)', NULL, NULL,
     NULL, NULL, NULL);

CREATE TABLE accounts (
    id serial PRIMARY KEY, name text, password_hash text, "apiKey" varchar, input_tokens bigint, access_token bytea,
    token_expires timestamptz, monkey text
);
INSERT INTO accounts (name, password_hash, "apiKey") VALUES ('Ana', 'hash', 'key');

CREATE VIEW happy AS SELECT id, "text", secret FROM kinds, LATERAL (SELECT 'x' AS secret) AS s WHERE mood = 'happy';
CREATE TABLE parted (id integer, day date) PARTITION BY RANGE (day);
CREATE TABLE parted_2026 PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO parted VALUES (1, '2026-05-05');
CREATE TABLE twice (part integer, id integer, same integer, PRIMARY KEY (id, part));
INSERT INTO twice VALUES (2, 1, 0), (1, 2, 0), (1, 1, 0), (3, 0, 1);
CREATE TABLE no_columns ();
INSERT INTO no_columns DEFAULT VALUES;
ANALYZE;
