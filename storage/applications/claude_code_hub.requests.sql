-- Made-up requests of claude-code-hub: those numbered pghaven.first to pghaven.last, of pghaven.total that fill the
-- pghaven.days before pghaven.until. They belong to the users, keys and providers that the database has.
-- A row comes from hashes of its number and of pghaven.seed, and not from random(), whose sequence differs between
-- server versions: the same numbers are the same rows, whichever batches they are made in.

-- Compiling the long statement takes longer than running it.
SET LOCAL jit = off;

CREATE OR REPLACE FUNCTION pg_temp.chance(number bigint, salt integer) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT (hashint8extended(number, salt) & 1073741823) / 1073741824.0::double precision $$;

-- Sessions start where weighted hours say (office hours in Shanghai, quiet weekends, a little growth); each is a run of
-- requests by one key. Every hundred requests are parted into sessions in the same way, so that a number alone says
-- which session it belongs to. One provider fails for three hours, twelve days ago.
INSERT INTO message_request (
    provider_id, user_id, key, model, duration_ms, cost_usd, provider_chain, status_code, api_type, input_tokens,
    output_tokens, cache_creation_input_tokens, cache_read_input_tokens, error_message, created_at, updated_at,
    session_id, blocked_by, blocked_reason, cost_multiplier, original_model, user_agent, messages_count, endpoint,
    cache_creation_5m_input_tokens, cache_creation_1h_input_tokens, cache_ttl_applied, request_sequence,
    context_1m_applied, error_stack, error_cause, ttfb_ms, special_settings)
WITH asked AS MATERIALIZED (
    SELECT current_setting('pghaven.seed')::bigint * 1000000000000 AS seed,
           current_setting('pghaven.first')::bigint AS first, current_setting('pghaven.last')::bigint AS last,
           ceil(current_setting('pghaven.total')::bigint / 100.0)::double precision AS hundreds,
           current_setting('pghaven.days')::integer AS days, current_setting('pghaven.until')::timestamptz AS until,
           (date_trunc('day', current_setting('pghaven.until')::timestamptz AT TIME ZONE 'Asia/Shanghai')
            - interval '12 days' + interval '10 hours') AT TIME ZONE 'Asia/Shanghai' AS trouble,
           -- After how many requests of a hundred each session begins: they are 1, 1, 1, 2, 2, 3, 3, 4 … long.
           ARRAY[0, 1, 2, 3, 5, 7, 10, 13, 17, 22, 28, 36, 46, 59, 77, 100] AS beginnings
), hours AS MATERIALIZED (
    SELECT array_agg(upto ORDER BY hour) AS upto, array_agg(weight ORDER BY hour) AS weight, max(upto) AS total
    FROM (SELECT hour, weight, sum(weight) OVER (ORDER BY hour) AS upto
          FROM (SELECT hour,
                       ((ARRAY[4, 2, 1, 1, 1, 1, 2, 5, 14, 30, 38, 34, 16, 24, 36, 40, 38, 32, 20, 14, 16, 18, 14, 8])
                            [1 + extract(hour FROM local)::integer]
                        * CASE WHEN extract(isodow FROM local) > 5 THEN 0.3 ELSE 1 END
                        * (0.6 + 0.4 * hour / (days * 24)))::double precision AS weight
                FROM asked, generate_series(1, days * 24) AS hour,
                     LATERAL (SELECT (until - make_interval(hours => days * 24 - hour + 1))
                                     AT TIME ZONE 'Asia/Shanghai' AS local) AS here) AS weighted) AS sums
), owned AS MATERIALIZED (
    SELECT user_id, key, row_number() OVER (PARTITION BY user_id ORDER BY id) AS place,
           count(*) OVER (PARTITION BY user_id) AS keys
    FROM keys WHERE is_enabled AND deleted_at IS NULL
), owners AS MATERIALIZED (
    SELECT id AS user_id, keys, row_number() OVER (ORDER BY id) AS place, count(*) OVER () AS users
    FROM users JOIN owned ON owned.user_id = users.id AND owned.place = 1
    WHERE deleted_at IS NULL
), pool AS MATERIALIZED (
    SELECT *, sum(weight) OVER (PARTITION BY is_codex ORDER BY id) AS upto,
           sum(weight) OVER (PARTITION BY is_codex) AS whole,
           row_number() OVER (PARTITION BY is_codex ORDER BY id) AS place,
           count(*) OVER (PARTITION BY is_codex) AS members
    FROM (SELECT id, name, weight, priority, coalesce(cost_multiplier, 1) AS cost_multiplier, group_tag, provider_type,
                 model_redirects, provider_type = 'codex' AS is_codex
          FROM providers
          WHERE is_enabled AND deleted_at IS NULL AND weight > 0
                AND provider_type IN ('claude', 'claude-auth', 'codex')) AS usable
), mix AS MATERIALIZED (
    SELECT model, is_codex,
           coalesce(listed.input, usual.input) AS input, coalesce(listed.output, usual.output) AS output,
           sum(share) OVER (ORDER BY share DESC, model) AS upto, sum(share) OVER () AS whole
    FROM (VALUES ('claude-sonnet-4-5-20250929', false, 58, 0.000003, 0.000015),
                 ('claude-haiku-4-5-20251001', false, 20, 0.000001, 0.000005),
                 ('claude-opus-4-5-20251101', false, 12, 0.000005, 0.000025),
                 ('gpt-5-codex', true, 9, 0.00000125, 0.00001), ('gpt-5-mini', true, 1, 0.00000025, 0.000002))
         AS usual (model, is_codex, share, input, output)
    LEFT JOIN (SELECT DISTINCT ON (model_name) model_name, (price_data ->> 'input_cost_per_token')::numeric AS input,
                      (price_data ->> 'output_cost_per_token')::numeric AS output
               FROM model_prices ORDER BY model_name, created_at DESC) AS listed ON listed.model_name = model
    WHERE is_codex IN (SELECT is_codex FROM pool)
), begun AS MATERIALIZED (
    SELECT session, code, hour, upto[hour] AS upto, weight[hour] AS weight, reached
    FROM asked, hours, generate_series((first - 1) / 100 * 15, (last - 1) / 100 * 15 + 14) AS session,
         LATERAL (SELECT seed + session AS code) AS coded,
         LATERAL (SELECT least((session / 15 + pg_temp.chance(code, 1)) / hundreds, 0.999999999) * total AS reached)
             AS placed,
         LATERAL (SELECT width_bucket(reached, upto) + 1 AS hour) AS found
), sessions AS MATERIALIZED (
    SELECT begun.session, begun.code, owners.user_id, owned.key, mix.model, mix.is_codex, mix.input, mix.output,
           pool.id AS provider_id, pool.name, pool.provider_type, pool.priority, pool.weight, pool.cost_multiplier,
           pool.group_tag, pool.place AS provider_place,
           coalesce(pool.model_redirects ->> mix.model, mix.model) AS sent_as,
           other.id AS other_id, other.name AS other_name, third.id AS third_id, third.name AS third_name,
           until - make_interval(hours => days * 24 - begun.hour,
                                 secs => 3600 * (begun.upto - begun.reached) / begun.weight) AS started
    -- Each LIMIT has the server go from a session to what belongs to it, whatever it believes of tables that are new.
    FROM asked, begun,
         LATERAL (SELECT * FROM owners
                  WHERE place = 1 + floor(power(pg_temp.chance(begun.code, 4), 2) * users)::bigint LIMIT 1) AS owners,
         LATERAL (SELECT * FROM owned
                  WHERE owned.user_id = owners.user_id
                        AND place = 1 + floor(pg_temp.chance(begun.code, 5) * owners.keys)::bigint LIMIT 1) AS owned,
         LATERAL (SELECT * FROM mix
                  WHERE floor(pg_temp.chance(begun.code, 6) * whole) < upto ORDER BY upto LIMIT 1) AS mix,
         LATERAL (SELECT * FROM pool
                  WHERE is_codex = mix.is_codex AND floor(pg_temp.chance(begun.code, 7) * whole) < upto
                  ORDER BY upto LIMIT 1) AS pool,
         LATERAL (SELECT * FROM pool AS others
                  WHERE is_codex = pool.is_codex AND place = pool.place % pool.members + 1 LIMIT 1) AS other,
         LATERAL (SELECT * FROM pool AS others
                  WHERE is_codex = pool.is_codex AND place = (pool.place + 1) % pool.members + 1 LIMIT 1) AS third
), requests AS MATERIALIZED (
    SELECT sessions.*, until, trouble, number, sequence, seed + number AS row_code,
           least(started + make_interval(secs => 8 + 80 * (sequence - 1) + 75 * pg_temp.chance(seed + number, 8)),
                 until - make_interval(secs => 1 + number % 50)) AS moment
    FROM asked, sessions,
         LATERAL (SELECT beginnings[1 + session % 15] AS before, beginnings[2 + session % 15] AS behind) AS part,
         generate_series(1, behind - before) AS sequence,
         LATERAL (SELECT session / 15 * 100 + before + sequence AS number) AS numbered
    WHERE number BETWEEN first AND last
), drawn AS MATERIALIZED (
    SELECT *, pg_temp.chance(row_code, 9) AS luck, pg_temp.chance(row_code, 10) AS retry_luck,
           provider_place = 3 AND NOT is_codex AND moment BETWEEN trouble AND trouble + interval '3 hours' AS in_trouble
    FROM requests
), outcomes AS MATERIALIZED (
    SELECT *,
           CASE WHEN luck < 0.010 THEN 'sensitive_word' WHEN luck < 0.014 THEN 'warmup' END AS blocked,
           CASE WHEN luck < 0.010 THEN 400 WHEN luck < 0.014 THEN 200 WHEN luck < 0.017 THEN NULL
                WHEN luck < 0.025 THEN 499
                WHEN in_trouble AND luck < 0.800 THEN 502
                WHEN luck < 0.055
                THEN (ARRAY[429, 429, 500, 502, 529, 401])[1 + floor(pg_temp.chance(row_code, 11) * 6)::integer]
                ELSE 200 END AS status,
           CASE WHEN retry_luck < 0.015 THEN 3 WHEN retry_luck < 0.070 OR in_trouble THEN 2 ELSE 1 END AS attempts
    FROM drawn
), measured AS MATERIALIZED (
    SELECT *, CASE WHEN answered THEN (40 + 5200 * power(pg_temp.chance(row_code, 12), 3))::bigint END AS made,
           CASE WHEN answered THEN (3 + 2600 * power(pg_temp.chance(row_code, 13), 4))::bigint
                                   + CASE WHEN number % 400 = 0 THEN 310000 ELSE 0 END END AS read,
           CASE WHEN answered AND NOT is_codex
                THEN (600 + 90000 * power(pg_temp.chance(row_code, 14), 8))::bigint END AS cached,
           CASE WHEN answered AND sequence > 1
                THEN least(9000 * sequence + 12000, 180000)::bigint + number % 977 END AS reused,
           (350 + 4200 * power(pg_temp.chance(row_code, 15), 3))::integer AS first_byte
    FROM outcomes, LATERAL (SELECT status = 200 AND blocked IS NULL AS answered) AS told
)
SELECT CASE WHEN blocked IS NULL THEN provider_id ELSE 0 END, user_id, key, sent_as,
       CASE WHEN blocked IS NOT NULL THEN 3
            WHEN status IS NOT NULL THEN first_byte + coalesce(made, 20) * 11 + (attempts - 1) * 1900 END,
       CASE WHEN blocked IS NULL AND status IS NOT NULL THEN
           round((coalesce(read, 0) + coalesce(cached, 0) * 1.25 + coalesce(reused, 0) * 0.1) * input * cost_multiplier
                 + coalesce(made, 0) * output * cost_multiplier, 15) ELSE 0 END,
       CASE WHEN blocked IS NULL THEN
           CASE WHEN sequence = 1 THEN jsonb_build_array(jsonb_build_object(
               'id', provider_id, 'name', name, 'reason', 'initial_selection', 'groupTag', group_tag,
               'timestamp', floor(extract(epoch FROM moment) * 1000))) ELSE '[]'::jsonb END
           || CASE WHEN attempts > 1 THEN jsonb_build_array(jsonb_build_object(
               'id', other_id, 'name', other_name, 'reason', 'retry_failed', 'attemptNumber', 1, 'statusCode', 502,
               'errorMessage', 'upstream closed the connection')) ELSE '[]'::jsonb END
           || CASE WHEN attempts > 2 THEN jsonb_build_array(jsonb_build_object(
               'id', third_id, 'name', third_name, 'reason', 'retry_failed', 'attemptNumber', 2, 'statusCode', 529,
               'errorMessage', 'overloaded')) ELSE '[]'::jsonb END
           || jsonb_build_array(jsonb_build_object(
               'id', provider_id, 'name', name, 'providerType', provider_type,
               'reason', CASE WHEN status = 200 AND attempts = 1 THEN 'request_success'
                              WHEN status = 200 THEN 'retry_success'
                              WHEN status IS NULL THEN 'session_reuse' ELSE 'retry_failed' END,
               'attemptNumber', attempts, 'statusCode', status, 'circuitState', 'closed', 'priority', priority,
               'weight', weight, 'costMultiplier', cost_multiplier))
       END,
       status, CASE WHEN is_codex THEN 'codex' ELSE 'claude' END, read, made, cached, reused,
       CASE WHEN blocked IS NULL THEN
           CASE status WHEN 429 THEN 'rate_limit_error: 请求过于频繁，请稍后再试'
                       WHEN 401 THEN 'authentication_error: "key" refused'
                       WHEN 499 THEN 'client closed the request' WHEN 529 THEN 'overloaded_error'
                       WHEN 500 THEN E'internal error\nsecond line, with a comma'
                       WHEN 502 THEN 'upstream closed the connection' END END,
       moment, moment + make_interval(secs => 4),
       md5(format('session %s of %s', code, extract(epoch FROM until)))::uuid::text, blocked,
       CASE blocked WHEN 'sensitive_word' THEN '{"word": "内部代号", "matchType": "contains"}'
            WHEN 'warmup' THEN '{"reason": "warmup"}' END,
       CASE WHEN blocked IS NULL THEN cost_multiplier END, model,
       -- One request in 7,000 each: what a spreadsheet would run as a formula, and what breaks a careless CSV.
       CASE number % 7000
           WHEN 11 THEN ' =cmd|''/C calc''!A0' WHEN 12 THEN 'agent "quoted", with comma' WHEN 13 THEN E'two\nlines'
           WHEN 14 THEN '+1+1' WHEN 15 THEN '@SUM(A1)' WHEN 16 THEN E'\t=1+1' WHEN 17 THEN '-2+3'
           WHEN 18 THEN E'carriage\rreturn' WHEN 19 THEN NULL
           ELSE CASE WHEN is_codex THEN 'codex_cli_rs/0.58.0 (Debian 12; x86_64)'
                     ELSE (ARRAY['claude-cli/2.0.42 (external, cli)', 'claude-cli/2.0.42 (external, vscode)',
                                 'claude-cli/1.0.128 (external, sdk-cli)', 'python-requests/2.32.5'])
                              [1 + floor(pg_temp.chance(code, 16) * 4)::integer]
                END END,
       sequence * 2 - 1,
       CASE WHEN is_codex THEN '/v1/responses' WHEN number % 60 = 0 THEN '/v1/messages/count_tokens'
            ELSE '/v1/messages' END,
       cached, CASE WHEN cached IS NOT NULL THEN 0 END, CASE WHEN cached IS NOT NULL THEN '5m' END,
       sequence, number % 400 = 0,
       CASE WHEN status = 500 THEN E'Error: internal error\n    at forward (proxy.ts:120)' END,
       CASE WHEN status = 500 THEN '{"name": "FetchError", "code": "ECONNRESET"}' END,
       CASE WHEN answered THEN first_byte END,
       CASE WHEN number % 150 = 0 THEN
           '[{"type": "provider_parameter_override", "scope": "request", "hit": true}]'::jsonb END
FROM measured
ORDER BY moment, number;
