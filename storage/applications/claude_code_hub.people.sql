-- Made-up users, keys, providers and prices of claude-code-hub, for tables that are empty. The odd names are for whoever
-- opens an export in a spreadsheet.

INSERT INTO users (name, description, role, rpm_limit, daily_limit_usd, provider_group, created_at, updated_at,
                   deleted_at,
                   limit_monthly_usd, limit_concurrent_sessions, tags, is_enabled, expires_at, daily_reset_mode)
SELECT name,
       CASE number % 3 WHEN 0 THEN 'Backend team' WHEN 1 THEN '前端组' END,
       CASE number WHEN 1 THEN 'admin' ELSE 'user' END,
       CASE WHEN number % 4 = 0 THEN 60 END,
       CASE WHEN number % 2 = 0 THEN 20 + number END,
       CASE WHEN number % 5 = 0 THEN 'research' ELSE 'default' END,
       now() - make_interval(days => 200 - number::integer * 3),
       now() - make_interval(days => 30, hours => number::integer),
       CASE WHEN number > 38 THEN now() - make_interval(days => 50) END,
       CASE WHEN number % 3 = 0 THEN 300 END,
       (number % 4)::integer,
       to_jsonb((ARRAY['backend', 'intern', 'night shift', '华东'])[1 : (number % 3)::integer]),
       number <> 37,
       CASE WHEN number % 9 = 0 THEN now() + make_interval(days => 40) END,
       CASE WHEN number % 6 = 0 THEN 'rolling'::daily_reset_mode ELSE 'fixed' END
FROM unnest(ARRAY[
    'admin', 'Lin Yue', '王小明', 'Amara Diallo', 'Jonas Weber', '陈静', 'Okafor, Ada', 'Priya Nair', '李强', 'Mateo Ruiz',
    'Sofia "Sonny" Berg', 'Kenji Mori', '赵敏', 'Elif Kaya', 'Tom O''Neill', 'Nadia Haddad', '刘洋', 'Ivo Novak',
    'Greta Lund',
    'Samuel Osei', '周杰', 'Lucia Conti', 'Piotr Zielinski', '=SUM(A1:A9)', 'Hana Sato', '孙莉', 'Bruno Costa', 'Maya Levi',
    'Oskar Lind', '吴磊', 'Chloe Martin', 'Dmitri Orlov', 'Zara Khan', '郑爽', 'Luis Ortega', 'build-robot',
    'former partner',
    'Anya Petrova', 'left in spring', '离职员工'
]) WITH ORDINALITY AS person (name, number);

INSERT INTO keys (user_id, key, name, expires_at, limit_5h_usd, created_at, updated_at, deleted_at, can_login_web_ui,
                  provider_group)
SELECT users.id, 'sk-' || md5(format('demo key %s/%s', users.id, number)),
       (ARRAY['laptop', 'server', 'CI, nightly'])[number],
       CASE WHEN users.id % 7 = 0 THEN now() + make_interval(days => 90) END,
       CASE WHEN number = 2 THEN 10 END,
       users.created_at + make_interval(days => number), users.updated_at, users.deleted_at, number = 1,
       users.provider_group
FROM users CROSS JOIN generate_series(1, 3) AS number
WHERE number <= 1 + users.id % 3
ORDER BY users.id, number;

-- A key that was deleted and given out again: its value names two rows, so a plain join doubles the requests.
INSERT INTO keys (user_id, key, name, is_enabled, created_at, updated_at, deleted_at)
SELECT user_id, key, name || ' (first)', false, created_at - interval '60 days', created_at,
       created_at - interval '1 day'
FROM (SELECT *, row_number() OVER (ORDER BY id) AS place FROM keys) AS numbered
WHERE place IN (5, 11);

-- Whom the requests go to.

INSERT INTO provider_vendors (website_domain, display_name, website_url, created_at)
SELECT domain, name, 'https://' || domain, now() - interval '200 days'
FROM (VALUES ('claude.example', 'Claude direct'), ('relay-one.example', 'Relay One'), ('cheap-tokens.example', '省钱中转'),
             ('cloud-west.example', 'Cloud West'), ('openai.example', 'OpenAI direct'), ('codex-pool.example', NULL))
     AS vendor (domain, name);

INSERT INTO providers (name, description, url, key, is_enabled, weight, priority, cost_multiplier, group_tag,
                       provider_type,
                       model_redirects, limit_daily_usd, created_at, updated_at, deleted_at, allowed_models,
                       daily_reset_mode, provider_vendor_id)
SELECT name, CASE WHEN vendor = 3 THEN 'Only when the others are down' END,
       'https://api.' || website_domain || CASE WHEN kind = 'codex' THEN '/v1' ELSE '' END,
       'sk-provider-' || md5(name), number NOT IN (7, 12), 1 + number::integer % 5, number::integer / 4, multiplier,
       tag, kind,
       CASE WHEN vendor = 3 THEN '{"claude-opus-4-5-20251101": "claude-sonnet-4-5-20250929"}'::jsonb END,
       CASE WHEN vendor = 3 THEN 50 END,
       now() - interval '190 days', now() - interval '20 days',
       CASE WHEN number = 12 THEN now() - interval '70 days' END,
       CASE WHEN kind = 'codex' THEN '["gpt-5-codex"]'::jsonb ELSE 'null'::jsonb END,
       CASE WHEN vendor = 3 THEN 'rolling'::daily_reset_mode ELSE 'fixed' END, vendors.id
FROM unnest(
    ARRAY['Direct A', 'Direct B', 'Relay One', 'Relay One backup', '省钱 1 号', '省钱 2 号', 'Cloud West (off)', 'Cloud West',
          'OpenAI', 'Codex pool 1', 'Codex pool 2', 'Old relay'],
    ARRAY[1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 6, 2],
    ARRAY[1.0, 1.0, 0.85, 0.9, 0.35, 0.4, 1.1, 1.15, 1.0, 0.6, 0.65, 1.0]::numeric[],
    ARRAY['default', 'default', 'default', NULL, 'research', 'research', NULL, 'default', 'default', 'default',
          'research', NULL],
    ARRAY['claude', 'claude', 'claude', 'claude', 'claude', 'claude', 'claude', 'claude', 'codex', 'codex', 'codex',
          'claude']
) WITH ORDINALITY AS provider (name, vendor, multiplier, tag, kind, number)
JOIN (SELECT *, row_number() OVER (ORDER BY id) AS place FROM provider_vendors) AS vendors ON vendors.place = vendor
ORDER BY number;

INSERT INTO model_prices (model_name, price_data, created_at, updated_at, source)
SELECT model, jsonb_build_object('mode', 'chat', 'input_cost_per_token', input * change, 'output_cost_per_token',
                                 output * change,
                                 'cache_creation_input_token_cost', input * change * 1.25,
                                 'cache_read_input_token_cost', input * change * 0.1),
       moment, moment, source
FROM (VALUES ('claude-sonnet-4-5-20250929', 0.000003, 0.000015), ('claude-haiku-4-5-20251001', 0.000001, 0.000005),
             ('claude-opus-4-5-20251101', 0.000005, 0.000025), ('gpt-5-codex', 0.00000125, 0.00001),
             ('gpt-5-mini', 0.00000025, 0.000002)) AS model (model, input, output)
CROSS JOIN (VALUES (now() - interval '120 days', 1.2, 'litellm'), (now() - interval '60 days', 1.0, 'manual'))
     AS version (moment, change, source);
