-- A made-up installation of claude-code-hub: users, providers and 45 days of requests, up to now().
-- SQL for an empty database, run as one transaction, with files put in where it says so. Rows come from hashes of their
-- number and not from random(), whose sequence differs between server versions: every load has the same shape, moved to
-- the present.

-- Compiling the long statements takes longer than running them.
SET LOCAL jit = off;

CREATE FUNCTION pg_temp.chance(number bigint, salt integer) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT (hashint8extended(number, salt) & 1073741823) / 1073741824.0::double precision $$;

CREATE TYPE daily_reset_mode AS ENUM ('fixed', 'rolling');
CREATE TYPE webhook_provider_type AS ENUM ('wechat', 'feishu', 'dingtalk', 'telegram', 'custom');
CREATE TYPE notification_type AS ENUM ('circuit_breaker', 'daily_leaderboard', 'cost_alert');

CREATE TABLE users (
    id serial PRIMARY KEY,
    name varchar NOT NULL,
    description text,
    role varchar DEFAULT 'user',
    rpm_limit integer,
    daily_limit_usd numeric(10,2),
    provider_group varchar(200) DEFAULT 'default',
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    deleted_at timestamptz,
    limit_5h_usd numeric(10,2),
    limit_weekly_usd numeric(10,2),
    limit_monthly_usd numeric(10,2),
    limit_concurrent_sessions integer,
    tags jsonb DEFAULT '[]',
    limit_total_usd numeric(10,2),
    is_enabled boolean NOT NULL DEFAULT true,
    expires_at timestamptz,
    allowed_clients jsonb DEFAULT '[]',
    daily_reset_mode daily_reset_mode NOT NULL DEFAULT 'fixed',
    daily_reset_time varchar(5) NOT NULL DEFAULT '00:00',
    allowed_models jsonb DEFAULT '[]'
);

CREATE TABLE keys (
    id serial PRIMARY KEY,
    user_id integer NOT NULL,
    key varchar NOT NULL,
    name varchar NOT NULL,
    is_enabled boolean DEFAULT true,
    expires_at timestamptz,
    limit_5h_usd numeric(10,2),
    limit_weekly_usd numeric(10,2),
    limit_monthly_usd numeric(10,2),
    limit_concurrent_sessions integer DEFAULT 0,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    deleted_at timestamptz,
    can_login_web_ui boolean DEFAULT false,
    daily_reset_mode daily_reset_mode NOT NULL DEFAULT 'fixed',
    limit_daily_usd numeric(10,2),
    daily_reset_time varchar(5) NOT NULL DEFAULT '00:00',
    limit_total_usd numeric(10,2),
    provider_group varchar(200) DEFAULT 'default',
    cache_ttl_preference varchar(10)
);

CREATE TABLE provider_vendors (
    id serial PRIMARY KEY,
    website_domain varchar(255) NOT NULL,
    display_name varchar(200),
    website_url text,
    favicon_url text,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE providers (
    id serial PRIMARY KEY,
    name varchar NOT NULL,
    description text,
    url varchar NOT NULL,
    key varchar NOT NULL,
    is_enabled boolean NOT NULL DEFAULT true,
    weight integer NOT NULL DEFAULT 1,
    priority integer NOT NULL DEFAULT 0,
    cost_multiplier numeric(10,4) DEFAULT 1.0,
    group_tag varchar(50),
    provider_type varchar(20) NOT NULL DEFAULT 'claude',
    model_redirects jsonb,
    limit_5h_usd numeric(10,2),
    limit_weekly_usd numeric(10,2),
    limit_monthly_usd numeric(10,2),
    limit_concurrent_sessions integer DEFAULT 0,
    tpm integer DEFAULT 0,
    rpm integer DEFAULT 0,
    rpd integer DEFAULT 0,
    cc integer DEFAULT 0,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    deleted_at timestamptz,
    allowed_models jsonb DEFAULT 'null',
    join_claude_pool boolean DEFAULT false,
    circuit_breaker_failure_threshold integer DEFAULT 5,
    circuit_breaker_open_duration integer DEFAULT 1800000,
    circuit_breaker_half_open_success_threshold integer DEFAULT 2,
    proxy_url varchar(512),
    proxy_fallback_to_direct boolean DEFAULT false,
    codex_instructions_strategy varchar(20) DEFAULT 'auto',
    website_url text,
    favicon_url text,
    first_byte_timeout_streaming_ms integer NOT NULL DEFAULT 0,
    streaming_idle_timeout_ms integer NOT NULL DEFAULT 0,
    request_timeout_non_streaming_ms integer NOT NULL DEFAULT 0,
    mcp_passthrough_type varchar(20) NOT NULL DEFAULT 'none',
    mcp_passthrough_url varchar(512),
    daily_reset_mode daily_reset_mode NOT NULL DEFAULT 'fixed',
    limit_daily_usd numeric(10,2),
    daily_reset_time varchar(5) NOT NULL DEFAULT '00:00',
    max_retry_attempts integer,
    cache_ttl_preference varchar(10),
    preserve_client_ip boolean NOT NULL DEFAULT false,
    context_1m_preference varchar(20),
    limit_total_usd numeric(10,2),
    total_cost_reset_at timestamptz,
    codex_reasoning_effort_preference varchar(20),
    codex_reasoning_summary_preference varchar(20),
    codex_text_verbosity_preference varchar(10),
    codex_parallel_tool_calls_preference varchar(10),
    provider_vendor_id integer,
    FOREIGN KEY (provider_vendor_id) REFERENCES provider_vendors(id) ON DELETE RESTRICT
);

CREATE TABLE provider_endpoints (
    id serial PRIMARY KEY,
    vendor_id integer NOT NULL,
    provider_type varchar(20) NOT NULL DEFAULT 'claude',
    url text NOT NULL,
    label varchar(200),
    sort_order integer NOT NULL DEFAULT 0,
    is_enabled boolean NOT NULL DEFAULT true,
    last_probed_at timestamptz,
    last_probe_ok boolean,
    last_probe_status_code integer,
    last_probe_latency_ms integer,
    last_probe_error_type varchar(64),
    last_probe_error_message text,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    deleted_at timestamptz,
    FOREIGN KEY (vendor_id) REFERENCES provider_vendors(id) ON DELETE CASCADE
);

CREATE TABLE provider_endpoint_probe_logs (
    id serial PRIMARY KEY,
    endpoint_id integer NOT NULL,
    source varchar(20) NOT NULL DEFAULT 'scheduled',
    ok boolean NOT NULL,
    status_code integer,
    latency_ms integer,
    error_type varchar(64),
    error_message text,
    created_at timestamptz DEFAULT now(),
    FOREIGN KEY (endpoint_id) REFERENCES provider_endpoints(id) ON DELETE CASCADE
);

CREATE TABLE message_request (
    id serial PRIMARY KEY,
    provider_id integer NOT NULL,
    user_id integer NOT NULL,
    key varchar NOT NULL,
    model varchar(128),
    duration_ms integer,
    cost_usd numeric(21,15) DEFAULT 0,
    provider_chain jsonb,
    status_code integer,
    api_type varchar(20),
    input_tokens bigint,
    output_tokens bigint,
    cache_creation_input_tokens bigint,
    cache_read_input_tokens bigint,
    error_message text,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    deleted_at timestamptz,
    session_id varchar(64),
    blocked_by varchar(50),
    blocked_reason text,
    cost_multiplier numeric(10,4),
    original_model varchar(128),
    user_agent varchar(512),
    messages_count integer,
    endpoint varchar(256),
    cache_creation_5m_input_tokens bigint,
    cache_creation_1h_input_tokens bigint,
    cache_ttl_applied varchar(10),
    request_sequence integer DEFAULT 1,
    context_1m_applied boolean DEFAULT false,
    error_stack text,
    error_cause text,
    ttfb_ms integer,
    special_settings jsonb
);

CREATE TABLE model_prices (
    id serial PRIMARY KEY,
    model_name varchar NOT NULL,
    price_data jsonb NOT NULL,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    source varchar(20) NOT NULL DEFAULT 'litellm'
);

CREATE TABLE webhook_targets (
    id serial PRIMARY KEY,
    name varchar(100) NOT NULL,
    provider_type webhook_provider_type NOT NULL,
    webhook_url varchar(1024),
    telegram_bot_token varchar(256),
    telegram_chat_id varchar(64),
    dingtalk_secret varchar(256),
    custom_template jsonb,
    custom_headers jsonb,
    proxy_url varchar(512),
    proxy_fallback_to_direct boolean DEFAULT false,
    is_enabled boolean NOT NULL DEFAULT true,
    last_test_at timestamptz,
    last_test_result jsonb,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE notification_settings (
    id serial PRIMARY KEY,
    enabled boolean NOT NULL DEFAULT false,
    circuit_breaker_enabled boolean NOT NULL DEFAULT false,
    circuit_breaker_webhook varchar(512),
    daily_leaderboard_enabled boolean NOT NULL DEFAULT false,
    daily_leaderboard_webhook varchar(512),
    daily_leaderboard_time varchar(10) DEFAULT '09:00',
    daily_leaderboard_top_n integer DEFAULT 5,
    cost_alert_enabled boolean NOT NULL DEFAULT false,
    cost_alert_webhook varchar(512),
    cost_alert_threshold numeric(5,2) DEFAULT 0.80,
    cost_alert_check_interval integer DEFAULT 60,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    use_legacy_mode boolean NOT NULL DEFAULT false
);

CREATE TABLE notification_target_bindings (
    id serial PRIMARY KEY,
    notification_type notification_type NOT NULL,
    target_id integer NOT NULL,
    is_enabled boolean NOT NULL DEFAULT true,
    schedule_cron varchar(100),
    schedule_timezone varchar(50) DEFAULT 'Asia/Shanghai',
    template_override jsonb,
    created_at timestamptz DEFAULT now(),
    FOREIGN KEY (target_id) REFERENCES webhook_targets(id) ON DELETE CASCADE
);

CREATE TABLE error_rules (
    id serial PRIMARY KEY,
    pattern text NOT NULL,
    match_type varchar(20) NOT NULL DEFAULT 'regex',
    category varchar(50) NOT NULL,
    description text,
    is_enabled boolean NOT NULL DEFAULT true,
    is_default boolean NOT NULL DEFAULT false,
    priority integer NOT NULL DEFAULT 0,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    override_response jsonb,
    override_status_code integer
);

CREATE TABLE request_filters (
    id serial PRIMARY KEY,
    name varchar(100) NOT NULL,
    description text,
    scope varchar(20) NOT NULL,
    action varchar(30) NOT NULL,
    match_type varchar(20),
    target text NOT NULL,
    replacement jsonb,
    priority integer NOT NULL DEFAULT 0,
    is_enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    binding_type varchar(20) NOT NULL DEFAULT 'global',
    provider_ids jsonb,
    group_tags jsonb
);

CREATE TABLE sensitive_words (
    id serial PRIMARY KEY,
    word varchar(255) NOT NULL,
    match_type varchar(20) NOT NULL DEFAULT 'contains',
    description text,
    is_enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE system_settings (
    id serial PRIMARY KEY,
    site_title varchar(128) NOT NULL DEFAULT 'Claude Code Hub',
    allow_global_usage_view boolean NOT NULL DEFAULT false,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    currency_display varchar(10) NOT NULL DEFAULT 'USD',
    enable_auto_cleanup boolean DEFAULT false,
    cleanup_retention_days integer DEFAULT 30,
    cleanup_schedule varchar(50) DEFAULT '0 2 * * *',
    cleanup_batch_size integer DEFAULT 10000,
    enable_client_version_check boolean NOT NULL DEFAULT false,
    billing_model_source varchar(20) NOT NULL DEFAULT 'original',
    verbose_provider_error boolean NOT NULL DEFAULT false,
    enable_http2 boolean NOT NULL DEFAULT false,
    intercept_anthropic_warmup_requests boolean NOT NULL DEFAULT false,
    enable_response_fixer boolean NOT NULL DEFAULT true,
    response_fixer_config jsonb DEFAULT '{"maxFixSize": 1048576, "fixEncoding": true, "fixJson": true}',
    enable_thinking_signature_rectifier boolean NOT NULL DEFAULT true,
    enable_codex_session_id_completion boolean NOT NULL DEFAULT true,
    quota_db_refresh_interval_seconds integer DEFAULT 10,
    quota_lease_percent_5h numeric(5,4) DEFAULT 0.05,
    quota_lease_percent_daily numeric(5,4) DEFAULT 0.05,
    quota_lease_percent_weekly numeric(5,4) DEFAULT 0.05,
    quota_lease_percent_monthly numeric(5,4) DEFAULT 0.05,
    quota_lease_cap_usd numeric(10,2),
    timezone varchar(64)
);

-- The second line lets the generator write into this table.
COMMENT ON TABLE message_request IS E'One row a request; the log that grows. key is the value of keys.key, not an id.\n'
    'pghaven: made-up data';
COMMENT ON COLUMN message_request.provider_id IS '0 where the request was blocked before a provider was chosen.';
COMMENT ON COLUMN message_request.provider_chain IS
    'Attempts in order. An item whose reason is initial_selection is a choice and not an attempt.';
COMMENT ON TABLE keys IS 'What clients sign in with; a value may come again after its first row was deleted.';
COMMENT ON TABLE provider_endpoint_probe_logs IS 'Results of the regular health checks of each endpoint.';

-- People, their keys, and whom the requests go to.
-- include claude_code_hub.people.sql

INSERT INTO provider_endpoints (vendor_id, provider_type, url, label, sort_order, is_enabled, created_at)
SELECT vendor.id, CASE WHEN vendor.id > 4 THEN 'codex' ELSE 'claude' END,
       format('https://%s.%s', region, vendor.website_domain), upper(region), number,
       NOT (vendor.id = 6 AND number = 2),
       now() - interval '180 days'
FROM provider_vendors AS vendor CROSS JOIN unnest(ARRAY['eu', 'hk']) WITH ORDINALITY AS place (region, number)
WHERE vendor.id > 2 OR number = 1
ORDER BY vendor.id, number;

-- 2,000 checks of each of the ten endpoints, half an hour apart.
INSERT INTO provider_endpoint_probe_logs (endpoint_id, source, ok, status_code, latency_ms, error_type, error_message,
                                          created_at)
SELECT endpoint, CASE WHEN pg_temp.chance(probe, 1) < 0.02 THEN 'manual' ELSE 'scheduled' END,
       luck >= 0.03,
       CASE WHEN luck < 0.01 THEN NULL WHEN luck < 0.02 THEN 503 WHEN luck < 0.03 THEN 401 ELSE 200 END,
       CASE WHEN luck >= 0.01 THEN (80 + endpoint * 15 + 900 * power(pg_temp.chance(probe, 2), 4))::integer END,
       CASE WHEN luck < 0.01 THEN 'timeout' WHEN luck < 0.03 THEN 'http_error' END,
       CASE WHEN luck < 0.01 THEN 'no answer within 10 s' WHEN luck < 0.02 THEN 'HTTP 503: overloaded, "try later"'
            WHEN luck < 0.03 THEN 'HTTP 401: key refused' END,
       moment
FROM (SELECT probe, 1 + probe % 10 AS endpoint, pg_temp.chance(probe, 3) AS luck,
             now() - make_interval(mins => 30 * (1999 - probe / 10), secs => 20 + 7 * (probe % 10)) AS moment
      FROM generate_series(0, 19999) AS probe) AS probes
ORDER BY moment;

UPDATE provider_endpoints
SET last_probed_at = latest.created_at, last_probe_ok = latest.ok, last_probe_status_code = latest.status_code,
    last_probe_latency_ms = latest.latency_ms, last_probe_error_type = latest.error_type,
    last_probe_error_message = latest.error_message
FROM (SELECT DISTINCT ON (endpoint_id) * FROM provider_endpoint_probe_logs ORDER BY endpoint_id,
      created_at DESC) AS latest
WHERE latest.endpoint_id = provider_endpoints.id;

-- The log of 45 days. Some of what is oldest was deleted in the application.
SET LOCAL pghaven.seed = 0;
SET LOCAL pghaven.first = 1;
SET LOCAL pghaven.last = 50000;
SET LOCAL pghaven.total = 50000;
SET LOCAL pghaven.days = 45;
SELECT set_config('pghaven.until', now()::text, true);
-- include claude_code_hub.requests.sql

UPDATE message_request SET deleted_at = now() - interval '2 days'
WHERE created_at < now() - interval '40 days' AND id % 5 = 0;

-- Settings.

INSERT INTO webhook_targets (name, provider_type, webhook_url, telegram_bot_token, telegram_chat_id, dingtalk_secret,
                             custom_template, custom_headers, is_enabled, last_test_at, last_test_result)
VALUES ('WeChat Work', 'wechat', 'https://qyapi.weixin.example/cgi-bin/webhook/send?key=demo', NULL, NULL, NULL, NULL,
        NULL, true,
        now() - interval '3 days', '{"success": true, "latencyMs": 210}'),
       ('Feishu 值班群', 'feishu', 'https://open.feishu.example/hook/demo', NULL, NULL, NULL, NULL, NULL, true, NULL,
        NULL),
       ('DingTalk', 'dingtalk', 'https://oapi.dingtalk.example/robot/send', NULL, NULL, 'SEC-demo-secret', NULL, NULL,
        true,
        now() - interval '9 days', '{"success": false, "error": "sign not match"}'),
       ('Telegram', 'telegram', NULL, '12345:demo-token', '-100200300', NULL, NULL, NULL, false, NULL, NULL),
       ('Custom Webhook', 'custom', 'https://alerts.example/in', NULL, NULL, NULL, '{"text": "{{title}}"}',
        '{"Authorization": "Bearer demo"}', true, NULL, NULL);

INSERT INTO notification_settings (enabled, circuit_breaker_enabled, daily_leaderboard_enabled, cost_alert_enabled,
                                   cost_alert_threshold)
VALUES (true, true, true, true, 0.85);

INSERT INTO notification_target_bindings (notification_type, target_id, schedule_cron, template_override)
SELECT kind, target.id, CASE kind WHEN 'daily_leaderboard' THEN '0 9 * * *' END, NULL
FROM webhook_targets AS target CROSS JOIN unnest(enum_range(NULL::notification_type)) AS kind
WHERE target.is_enabled AND (kind <> 'cost_alert' OR target.provider_type <> 'custom')
ORDER BY target.id, kind;

INSERT INTO error_rules (pattern, match_type, category, description, is_default, priority, override_response,
                         override_status_code)
VALUES ('prompt is too long', 'contains', 'prompt_limit', 'The prompt exceeds the window of the model', true, 100,
        '{"type": "error", "error": {"type": "invalid_request_error", "message": "请缩短输入内容"}}', 400),
       ('^credit balance', 'regex', 'quota', 'The provider''s account is empty', true, 90, NULL, NULL),
       ('content policy', 'contains', 'content_filter', NULL, false, 50, NULL, 451),
       ('thinking.*signature', 'regex', 'thinking_error', NULL, true, 60, NULL, NULL);

INSERT INTO request_filters (name, description, scope, action, match_type, target, replacement, priority, is_enabled,
                             binding_type, provider_ids, group_tags)
VALUES ('Remove beta header', NULL, 'header', 'remove', NULL, 'anthropic-beta', NULL, 10, true, 'global', NULL, NULL),
       ('Mask project name', '客户要求', 'body', 'text_replace', 'contains', 'Project Falcon', '"the project"', 5, true,
        'providers',
        '[5, 6]', NULL),
       ('Research group marker', NULL, 'header', 'set', NULL, 'x-group', '"research"', 1, false, 'groups', NULL,
        '["research"]');

INSERT INTO sensitive_words (word, match_type, description)
VALUES ('内部代号', 'contains', '项目代号'), ('password=', 'contains', NULL), ('^BEGIN .*PRIVATE KEY', 'regex', 'Private keys'),
       ('top secret', 'exact', NULL);

INSERT INTO system_settings (site_title, allow_global_usage_view, currency_display, enable_auto_cleanup, timezone)
VALUES ('Claude Code Hub 演示', true, 'USD', true, 'Asia/Shanghai');

-- Indexes last: rows load faster into tables that have none.

CREATE INDEX idx_category ON error_rules (category);
CREATE INDEX idx_error_rules_enabled ON error_rules (is_enabled, priority);
CREATE INDEX idx_match_type ON error_rules (match_type);
CREATE UNIQUE INDEX unique_pattern ON error_rules (pattern);
CREATE INDEX idx_keys_created_at ON keys (created_at);
CREATE INDEX idx_keys_deleted_at ON keys (deleted_at);
CREATE INDEX idx_keys_user_id ON keys (user_id);
CREATE INDEX idx_message_request_blocked_by ON message_request (blocked_by) WHERE (deleted_at IS NULL);
CREATE INDEX idx_message_request_created_at ON message_request (created_at);
CREATE INDEX idx_message_request_cursor ON message_request (created_at DESC, id DESC);
CREATE INDEX idx_message_request_deleted_at ON message_request (deleted_at);
CREATE INDEX idx_message_request_endpoint ON message_request (endpoint) WHERE (deleted_at IS NULL);
CREATE INDEX idx_message_request_key ON message_request (key);
CREATE INDEX idx_message_request_provider_id ON message_request (provider_id);
CREATE INDEX idx_message_request_session_id ON message_request (session_id) WHERE (deleted_at IS NULL);
CREATE INDEX idx_model_prices_created_at ON model_prices (created_at DESC NULLS LAST);
CREATE INDEX idx_model_prices_latest ON model_prices (model_name, created_at DESC NULLS LAST);
CREATE INDEX idx_model_prices_model_name ON model_prices (model_name);
CREATE INDEX idx_model_prices_source ON model_prices (source);
CREATE INDEX idx_notification_bindings_target ON notification_target_bindings (target_id, is_enabled);
CREATE INDEX idx_notification_bindings_type ON notification_target_bindings (notification_type, is_enabled);
CREATE UNIQUE INDEX unique_notification_target_binding ON notification_target_bindings (notification_type, target_id);
CREATE INDEX idx_provider_endpoint_probe_logs_created_at ON provider_endpoint_probe_logs (created_at);
CREATE INDEX idx_provider_endpoint_probe_logs_endpoint_created_at
    ON provider_endpoint_probe_logs (endpoint_id, created_at DESC NULLS LAST);
CREATE INDEX idx_provider_endpoints_created_at ON provider_endpoints (created_at);
CREATE INDEX idx_provider_endpoints_deleted_at ON provider_endpoints (deleted_at);
CREATE INDEX idx_provider_endpoints_enabled
    ON provider_endpoints (is_enabled, vendor_id, provider_type) WHERE (deleted_at IS NULL);
CREATE INDEX idx_provider_endpoints_vendor_type
    ON provider_endpoints (vendor_id, provider_type) WHERE (deleted_at IS NULL);
CREATE UNIQUE INDEX uniq_provider_endpoints_vendor_type_url ON provider_endpoints (vendor_id, provider_type, url);
CREATE INDEX idx_provider_vendors_created_at ON provider_vendors (created_at);
CREATE UNIQUE INDEX uniq_provider_vendors_website_domain ON provider_vendors (website_domain);
CREATE INDEX idx_providers_created_at ON providers (created_at);
CREATE INDEX idx_providers_deleted_at ON providers (deleted_at);
CREATE INDEX idx_providers_enabled_priority ON providers (is_enabled, priority, weight) WHERE (deleted_at IS NULL);
CREATE INDEX idx_providers_group ON providers (group_tag) WHERE (deleted_at IS NULL);
CREATE INDEX idx_providers_vendor_type ON providers (provider_vendor_id, provider_type) WHERE (deleted_at IS NULL);
CREATE INDEX idx_request_filters_action ON request_filters (action);
CREATE INDEX idx_request_filters_binding ON request_filters (is_enabled, binding_type);
CREATE INDEX idx_request_filters_enabled ON request_filters (is_enabled, priority);
CREATE INDEX idx_request_filters_scope ON request_filters (scope);
CREATE INDEX idx_sensitive_words_created_at ON sensitive_words (created_at);
CREATE INDEX idx_sensitive_words_enabled ON sensitive_words (is_enabled, match_type);
CREATE INDEX idx_users_active_role_sort ON users (deleted_at, role, id) WHERE (deleted_at IS NULL);
CREATE INDEX idx_users_created_at ON users (created_at);
CREATE INDEX idx_users_deleted_at ON users (deleted_at);
CREATE INDEX idx_users_enabled_expires_at ON users (is_enabled, expires_at) WHERE (deleted_at IS NULL);
CREATE INDEX idx_message_request_session_id_prefix ON message_request (session_id varchar_pattern_ops)
    WHERE deleted_at IS NULL AND (blocked_by IS NULL OR blocked_by <> 'warmup');
CREATE INDEX idx_message_request_session_seq ON message_request (session_id, request_sequence) WHERE deleted_at IS NULL;
CREATE INDEX idx_message_request_user_date_cost
    ON message_request (user_id, created_at, cost_usd) WHERE deleted_at IS NULL;
CREATE INDEX idx_message_request_user_id ON message_request (user_id);
CREATE INDEX idx_message_request_user_query ON message_request (user_id, created_at) WHERE deleted_at IS NULL;

DROP FUNCTION pg_temp.chance;
