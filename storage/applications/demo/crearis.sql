-- A made-up theatre network in the shape of crearis: projects, people, images, events, posts that refer to each other.
-- Plain SQL for an empty database, run as one transaction. Kept on purpose is what makes it hard to bring back: a
-- circle of five tables, generated columns that read other tables, triggers that write other tables, composite types.

CREATE TYPE image_file_type AS ENUM ('none', 'jpeg', 'png', 'webp', 'svg', 'mp4');
CREATE TYPE embed_file_type AS ENUM ('youtube', 'vimeo');
CREATE TYPE media_licence AS ENUM ('BY', 'BY-SA', 'CC0', 'private', 'unknown');
CREATE TYPE media_source AS ENUM ('local', 'cloudinary', 'unsplash', 'external');
CREATE TYPE image_shape AS (url text, x integer, y integer, zoom numeric, params text);
CREATE TYPE image_variation AS (name text, shape image_shape, made_at timestamp);
CREATE TYPE media_adapter AS (source media_source, name text, account jsonb);

-- These two say IMMUTABLE and read a table, by a name without its schema. Where the search path is empty, as in a
-- restore, the name is not found; where the table is loaded later, the answer is empty. Both are real, and must stay.

CREATE FUNCTION get_status_display_name(wanted integer, language text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN coalesce((SELECT coalesce(name_i18n ->> language, name) FROM status WHERE id = wanted), '');
END
$$;

CREATE FUNCTION compute_domainname(wanted integer, own_tld text, label text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF wanted IS NULL THEN
        RETURN concat_ws('.', label, own_tld);
    END IF;
    RETURN (SELECT concat_ws('.', label, domainstring) FROM sysdomains WHERE id = wanted);
END
$$;

CREATE TABLE status (
    id serial PRIMARY KEY,
    value smallint NOT NULL,
    name text NOT NULL,
    "table" text NOT NULL,
    description text,
    name_i18n jsonb,
    desc_i18n jsonb,
    CHECK ("table" IN ('projects', 'events', 'posts', 'persons', 'users', 'tasks', 'interactions', 'images'))
);

CREATE TABLE tlds (
    name text PRIMARY KEY,
    description text,
    relevance integer,
    CHECK (relevance IN (1, 2, 3, 4))
);

CREATE TABLE sysdomains (
    id serial PRIMARY KEY,
    tld text NOT NULL,
    domain text NOT NULL,
    subdomain text,
    description text,
    options jsonb,
    domainstring text GENERATED ALWAYS AS (
        CASE WHEN subdomain IS NOT NULL AND subdomain <> '' THEN subdomain || '.' ELSE '' END || domain || '.' || tld
    ) STORED
);

CREATE TABLE tags (
    id serial PRIMARY KEY,
    name text NOT NULL,
    description text,
    name_i18n jsonb,
    desc_i18n jsonb
);

CREATE TABLE users (
    id serial PRIMARY KEY,
    sysmail text NOT NULL UNIQUE,
    extmail text UNIQUE,
    username text NOT NULL,
    password text NOT NULL,
    role text NOT NULL,
    status_id integer,
    instructor_id integer,
    participant_id integer,
    lang text NOT NULL DEFAULT 'de',
    created_at timestamp DEFAULT current_timestamp,
    updated_at timestamp DEFAULT current_timestamp,
    img_id integer,
    img_show boolean DEFAULT false,
    img_thumb jsonb,
    img_square jsonb,
    img_wide jsonb,
    img_vert jsonb,
    status_display text GENERATED ALWAYS AS (get_status_display_name(status_id, lang)) STORED,
    CHECK (extmail IS NULL OR extmail ~* '^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$'),
    CHECK (lang IN ('de', 'en', 'cz')),
    CHECK (role IN ('user', 'admin', 'base')),
    CHECK (sysmail ~* '^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$')
);

CREATE TABLE projects (
    id serial PRIMARY KEY,
    domaincode text NOT NULL UNIQUE,
    name text,
    description text,
    status_old text DEFAULT 'new',
    owner_id integer,
    created_at timestamp DEFAULT current_timestamp,
    updated_at text,
    header_type text,
    header_size text,
    md text,
    html text,
    type text DEFAULT 'project',
    is_regio boolean GENERATED ALWAYS AS (type = 'regio') STORED,
    is_topic boolean GENERATED ALWAYS AS (type = 'topic') STORED,
    is_onepage boolean GENERATED ALWAYS AS (coalesce((config ->> 'onepage')::boolean, false)) STORED,
    is_service boolean GENERATED ALWAYS AS (coalesce((config ->> 'service')::boolean, false)) STORED,
    is_sidebar boolean GENERATED ALWAYS AS (coalesce((config ->> 'sidebar')::boolean, false)) STORED,
    regio integer,
    partner_projects text,
    heading text,
    theme integer,
    cimg text,
    teaser text,
    team_page text DEFAULT 'yes',
    cta_title text,
    cta_form text,
    cta_entity text,
    cta_link text,
    is_company boolean DEFAULT false,
    is_location_provider boolean DEFAULT false,
    config jsonb,
    domain_id integer,
    member_ids jsonb,
    page_background text DEFAULT '',
    page_cssvars jsonb DEFAULT '{}',
    page_navigation jsonb DEFAULT '{}',
    page_options_ext jsonb DEFAULT '{}',
    aside_postit jsonb DEFAULT '{}',
    aside_toc jsonb DEFAULT '{}',
    aside_list text DEFAULT '',
    aside_context jsonb DEFAULT '{}',
    aside_options_ext jsonb DEFAULT '{}',
    header_alert jsonb DEFAULT '{}',
    header_postit jsonb DEFAULT '{}',
    header_options_ext jsonb DEFAULT '{}',
    footer_gallery text DEFAULT '',
    footer_postit jsonb DEFAULT '{}',
    footer_slider text DEFAULT '',
    footer_repeat jsonb DEFAULT '{}',
    footer_sitemap text DEFAULT '',
    footer_options_ext jsonb DEFAULT '{}',
    page_has_content boolean GENERATED ALWAYS AS (
        coalesce(page_background, '') <> ''
        OR coalesce(page_cssvars::text, '{}') <> '{}'
        OR coalesce(page_navigation::text, '{}') <> '{}'
        OR coalesce(page_options_ext::text, '{}') <> '{}'
    ) STORED,
    aside_has_content boolean GENERATED ALWAYS AS (
        coalesce(aside_list, '') <> ''
        OR coalesce(aside_postit::text, '{}') <> '{}'
        OR coalesce(aside_toc::text, '{}') <> '{}'
        OR coalesce(aside_context::text, '{}') <> '{}'
        OR coalesce(aside_options_ext::text, '{}') <> '{}'
    ) STORED,
    header_has_content boolean GENERATED ALWAYS AS (
        coalesce(header_alert::text, '{}') <> '{}'
        OR coalesce(header_postit::text, '{}') <> '{}'
        OR coalesce(header_options_ext::text, '{}') <> '{}'
    ) STORED,
    footer_has_content boolean GENERATED ALWAYS AS (
        coalesce(footer_gallery, '') <> ''
        OR coalesce(footer_slider, '') <> ''
        OR coalesce(footer_sitemap, '') <> ''
        OR coalesce(footer_postit::text, '{}') <> '{}'
        OR coalesce(footer_repeat::text, '{}') <> '{}'
        OR coalesce(footer_options_ext::text, '{}') <> '{}'
    ) STORED,
    img_id integer,
    img_show boolean DEFAULT false,
    img_thumb jsonb,
    img_square jsonb,
    img_wide jsonb,
    img_vert jsonb,
    status_id integer NOT NULL DEFAULT 18,
    CHECK (cta_entity IN ('post', 'event', 'instructor')),
    CHECK (domaincode ~ '^[a-z][a-z0-9_]*$'),
    CHECK (header_size IN ('small', 'medium', 'large')),
    CHECK (team_page IN ('yes', 'no')),
    CHECK (type IN ('project', 'regio', 'special', 'topic', 'location'))
);

CREATE TABLE domains (
    id serial PRIMARY KEY,
    sysdomain_id integer,
    tld text NOT NULL,
    textdomain text,
    admin_user_id integer,
    project_id integer,
    description text,
    domainname text GENERATED ALWAYS AS (compute_domainname(sysdomain_id, tld, textdomain)) STORED,
    CHECK (textdomain IS NULL OR textdomain ~ '^[a-z0-9_]+$')
);

CREATE TABLE images (
    id serial PRIMARY KEY,
    xmlid text,
    name text NOT NULL,
    url text NOT NULL,
    project_id integer,
    project_domaincode text,
    status_id integer DEFAULT 0,
    owner_id integer,
    alt_text text,
    title text,
    date timestamp DEFAULT current_timestamp,
    geo jsonb,
    x integer,
    y integer,
    shape_wide image_shape,
    shape_square image_shape,
    shape_vertical image_shape,
    shape_thumb image_shape,
    fileformat image_file_type DEFAULT 'none',
    embedformat embed_file_type,
    license media_licence DEFAULT 'BY',
    length integer,
    about text,
    author media_adapter,
    producer media_adapter,
    publisher media_adapter,
    variations image_variation,
    root_id integer,
    use_player boolean DEFAULT false,
    ctags bytea DEFAULT '\x00',
    is_public boolean DEFAULT false,
    is_private boolean DEFAULT false,
    is_internal boolean DEFAULT false,
    is_deprecated boolean DEFAULT false,
    has_issues boolean DEFAULT false,
    rtags bytea DEFAULT '\x00',
    created_at timestamp DEFAULT current_timestamp,
    updated_at timestamp DEFAULT current_timestamp,
    img_show boolean DEFAULT false,
    img_thumb jsonb,
    img_square jsonb,
    img_wide jsonb,
    img_vert jsonb
);

CREATE TABLE instructors (
    id serial PRIMARY KEY,
    xmlid text UNIQUE,
    name text NOT NULL,
    email text,
    phone text,
    city text,
    country_id text,
    cimg text,
    description text,
    event_xmlid text,
    version_id text,
    status_id integer,
    multiproject text DEFAULT 'yes',
    header_type text,
    md text,
    html text,
    isbase integer DEFAULT 0,
    created_at timestamp DEFAULT current_timestamp,
    updated_at text,
    is_user boolean DEFAULT false,
    header_size text,
    regio_id integer,
    img_id integer,
    img_show boolean DEFAULT false,
    img_thumb jsonb,
    img_square jsonb,
    img_wide jsonb,
    img_vert jsonb,
    lang text NOT NULL DEFAULT 'de',
    status_display text GENERATED ALWAYS AS (get_status_display_name(status_id, lang)) STORED,
    CHECK (header_size IN ('small', 'medium', 'large')),
    CHECK (lang IN ('de', 'en', 'cz')),
    CHECK (multiproject IN ('yes', 'no'))
);

CREATE TABLE locations (
    id serial PRIMARY KEY,
    xmlid text UNIQUE,
    name text NOT NULL,
    phone text,
    email text,
    city text,
    zip text,
    street text,
    country_id text,
    is_company text,
    category_id text,
    cimg text,
    header_type text,
    header_size text,
    md text,
    is_location_provider text,
    event_xmlid text,
    version_id text,
    status_id integer,
    project_id integer,
    isbase integer DEFAULT 0,
    created_at timestamp DEFAULT current_timestamp,
    updated_at text,
    img_id integer,
    img_show boolean DEFAULT false,
    img_thumb jsonb,
    img_square jsonb,
    img_wide jsonb,
    img_vert jsonb,
    lang text NOT NULL DEFAULT 'de',
    status_display text GENERATED ALWAYS AS (get_status_display_name(status_id, lang)) STORED,
    CHECK (lang IN ('de', 'en', 'cz'))
);

CREATE TABLE participants (
    id serial PRIMARY KEY,
    xmlid text UNIQUE,
    name text NOT NULL,
    age integer,
    city text,
    country_id text,
    cimg text,
    description text,
    event_xmlid text,
    type text,
    version_id text,
    status_id integer,
    created_at timestamp DEFAULT current_timestamp,
    updated_at text,
    is_user boolean DEFAULT false,
    lang text NOT NULL DEFAULT 'de',
    status_display text GENERATED ALWAYS AS (get_status_display_name(status_id, lang)) STORED,
    CHECK (lang IN ('de', 'en', 'cz'))
);

CREATE TABLE events (
    id serial PRIMARY KEY,
    xmlid text UNIQUE,
    name text,
    date_begin text,
    date_end text,
    address_id text,
    user_id integer,
    seats_max integer,
    cimg text,
    header_type text,
    rectitle text,
    teaser text,
    version_id text,
    created_at timestamp,
    updated_at text,
    status text,
    isbase integer DEFAULT 0,
    template text,
    public_user integer,
    location integer,
    event_type text,
    md text,
    html text,
    status_id integer,
    lang text DEFAULT 'de',
    tags_ids integer[] DEFAULT '{}',
    tags_display text[] DEFAULT '{}',
    project_id integer,
    regio_id integer,
    img_id integer,
    img_show boolean DEFAULT false,
    img_thumb jsonb,
    img_square jsonb,
    img_wide jsonb,
    img_vert jsonb,
    status_display text GENERATED ALWAYS AS (get_status_display_name(status_id, 'de')) STORED,
    CHECK (lang IN ('de', 'en', 'cz'))
);

CREATE TABLE event_instructors (
    event_id integer NOT NULL,
    instructor_id integer NOT NULL,
    added_at timestamp DEFAULT current_timestamp,
    PRIMARY KEY (event_id, instructor_id)
);

CREATE TABLE events_tags (
    event_id integer NOT NULL,
    tag_id integer NOT NULL,
    created_at timestamp DEFAULT current_timestamp,
    PRIMARY KEY (event_id, tag_id)
);

CREATE TABLE posts (
    id serial PRIMARY KEY,
    xmlid text UNIQUE,
    name text,
    subtitle text,
    teaser text,
    author_id text,
    blog_id text,
    tag_ids text,
    website_published text,
    is_published text,
    post_date text,
    cover_properties text,
    event_xmlid text,
    cimg text,
    version_id text,
    created_at timestamp,
    updated_at text,
    status text,
    isbase integer DEFAULT 0,
    template text,
    public_user integer,
    header_type text,
    md text,
    html text,
    status_id integer,
    lang text DEFAULT 'de',
    tags_ids integer[] DEFAULT '{}',
    tags_display text[] DEFAULT '{}',
    project_id integer,
    regio_id integer,
    img_id integer,
    img_show boolean DEFAULT false,
    img_thumb jsonb,
    img_square jsonb,
    img_wide jsonb,
    img_vert jsonb,
    status_display text GENERATED ALWAYS AS (get_status_display_name(status_id, 'de')) STORED,
    CHECK (lang IN ('de', 'en', 'cz'))
);

CREATE TABLE posts_tags (
    post_id integer NOT NULL,
    tag_id integer NOT NULL,
    created_at timestamp DEFAULT current_timestamp,
    PRIMARY KEY (post_id, tag_id)
);

CREATE TABLE project_members (
    project_id integer NOT NULL,
    user_id integer NOT NULL,
    role text DEFAULT 'member',
    added_at timestamp DEFAULT current_timestamp,
    PRIMARY KEY (project_id, user_id)
);

CREATE TABLE pages (
    id text DEFAULT gen_random_uuid() PRIMARY KEY,
    project integer NOT NULL,
    header_type text DEFAULT 'simple',
    page_type text NOT NULL,
    created_at timestamp DEFAULT current_timestamp,
    updated_at timestamp DEFAULT current_timestamp,
    page_options jsonb DEFAULT '{}',
    header_options jsonb DEFAULT '{}',
    aside_options jsonb DEFAULT '{}',
    footer_options jsonb DEFAULT '{}',
    page_has_content boolean GENERATED ALWAYS AS (coalesce(page_options::text, '{}') = '{}') STORED,
    aside_has_content boolean GENERATED ALWAYS AS (coalesce(aside_options::text, '{}') = '{}') STORED,
    header_has_content boolean GENERATED ALWAYS AS (coalesce(header_options::text, '{}') = '{}') STORED,
    footer_has_content boolean GENERATED ALWAYS AS (coalesce(footer_options::text, '{}') = '{}') STORED,
    CHECK (header_type IN ('simple', 'columns', 'banner', 'cover', 'bauchbinde')),
    CHECK (page_type IN ('landing', 'event', 'post', 'team'))
);

CREATE TABLE page_sections (
    id text DEFAULT gen_random_uuid() PRIMARY KEY,
    page text NOT NULL,
    scope text NOT NULL,
    type text NOT NULL,
    heading text,
    created_at timestamp DEFAULT current_timestamp,
    updated_at timestamp DEFAULT current_timestamp,
    CHECK (scope IN ('page', 'header', 'aside', 'bottom')),
    CHECK (type IN ('1_postit', '2_list', '3_gallery'))
);

CREATE TABLE interactions (
    id serial PRIMARY KEY,
    user_id integer,
    name text NOT NULL,
    project_id integer,
    timestamp timestamp NOT NULL DEFAULT current_timestamp,
    status_id integer NOT NULL,
    actions jsonb,
    to_mail text,
    from_mail text,
    subject text,
    md text,
    fields jsonb
);

CREATE TABLE tasks (
    id text PRIMARY KEY,
    name text NOT NULL,
    description text,
    category text DEFAULT 'project',
    priority text DEFAULT 'medium',
    record_type text,
    record_id text,
    assigned_to text,
    created_at timestamp DEFAULT current_timestamp,
    updated_at text,
    due_date text,
    completed_at text,
    version_id text,
    release_id text,
    cimg text,
    prompt text,
    logic text,
    filter text,
    entity_name text,
    status_id integer NOT NULL DEFAULT 2,
    lang text NOT NULL DEFAULT 'de',
    status_display text GENERATED ALWAYS AS (get_status_display_name(status_id, lang)) STORED,
    CHECK (category IN ('project', 'base', 'admin', 'main')),
    CHECK (lang IN ('de', 'en', 'cz')),
    CHECK (priority IN ('low', 'medium', 'high', 'urgent'))
);

CREATE TABLE versions (
    id text PRIMARY KEY,
    version_number text NOT NULL UNIQUE,
    name text NOT NULL,
    description text,
    created_at timestamp DEFAULT current_timestamp,
    created_by text,
    is_active integer DEFAULT 0,
    snapshot_data text,
    csv_exported integer DEFAULT 0,
    notes text
);

CREATE TABLE releases (
    id text PRIMARY KEY,
    version text NOT NULL UNIQUE,
    version_major integer NOT NULL,
    version_minor integer NOT NULL,
    description text,
    state text DEFAULT 'idea',
    release_date text,
    created_at timestamp DEFAULT current_timestamp,
    updated_at text,
    CHECK (state IN ('idea', 'draft', 'final', 'trash'))
);

CREATE TABLE record_versions (
    id text PRIMARY KEY,
    version_id text NOT NULL,
    record_type text NOT NULL,
    record_id text NOT NULL,
    data text NOT NULL,
    created_at timestamp DEFAULT current_timestamp
);

CREATE TABLE form_input (
    id text DEFAULT gen_random_uuid() PRIMARY KEY,
    project integer NOT NULL,
    name text,
    email text,
    "user" text,
    input jsonb,
    created_at timestamp DEFAULT current_timestamp,
    updated_at timestamp DEFAULT current_timestamp
);

CREATE TABLE i18n_codes (
    id serial PRIMARY KEY,
    name text NOT NULL,
    variation text DEFAULT 'false',
    type text NOT NULL,
    text jsonb NOT NULL,
    status text NOT NULL DEFAULT 'de',
    created_at timestamp DEFAULT current_timestamp,
    updated_at timestamp DEFAULT current_timestamp,
    CHECK (status IN ('de', 'en', 'cz', 'draft', 'ok')),
    CHECK (type IN ('button', 'nav', 'field', 'desc'))
);

CREATE TABLE hero_overrides (
    id text PRIMARY KEY,
    cimg text,
    heading text,
    description text,
    event_ids text,
    created_at timestamp DEFAULT current_timestamp,
    updated_at text
);

CREATE TABLE crearis_config (
    id serial PRIMARY KEY,
    config jsonb NOT NULL
);

CREATE TABLE system_config (
    key text PRIMARY KEY,
    value text NOT NULL,
    description text,
    updated_at timestamp DEFAULT current_timestamp
);

COMMENT ON TABLE status IS 'The names that status_id stands for, for each kind of row.';
COMMENT ON TABLE event_instructors IS 'Who leads an event; no foreign keys, so rows may refer to nothing.';
COMMENT ON COLUMN events.tags_ids IS 'Copy of events_tags, kept by a trigger.';

-- The circle: users to instructors to images to users; images to projects to images; projects to domains to projects.
ALTER TABLE domains ADD FOREIGN KEY (admin_user_id) REFERENCES users(id) ON DELETE SET NULL;
ALTER TABLE domains ADD FOREIGN KEY (project_id) REFERENCES projects(id) ON DELETE SET NULL;
ALTER TABLE domains ADD FOREIGN KEY (sysdomain_id) REFERENCES sysdomains(id);
ALTER TABLE domains ADD FOREIGN KEY (tld) REFERENCES tlds(name);
ALTER TABLE events ADD FOREIGN KEY (img_id) REFERENCES images(id) ON DELETE SET NULL;
ALTER TABLE events ADD FOREIGN KEY (location) REFERENCES locations(id) ON DELETE SET NULL;
ALTER TABLE events ADD FOREIGN KEY (project_id) REFERENCES projects(id) ON DELETE SET NULL;
ALTER TABLE events ADD FOREIGN KEY (public_user) REFERENCES instructors(id) ON DELETE SET NULL;
ALTER TABLE events ADD FOREIGN KEY (regio_id) REFERENCES projects(id);
ALTER TABLE events ADD FOREIGN KEY (status_id) REFERENCES status(id);
ALTER TABLE events ADD FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE SET NULL;
ALTER TABLE events_tags ADD FOREIGN KEY (event_id) REFERENCES events(id) ON DELETE CASCADE;
ALTER TABLE events_tags ADD FOREIGN KEY (tag_id) REFERENCES tags(id) ON DELETE CASCADE;
ALTER TABLE form_input ADD FOREIGN KEY (project) REFERENCES projects(id) ON DELETE SET NULL;
ALTER TABLE images ADD FOREIGN KEY (owner_id) REFERENCES users(id) ON DELETE SET NULL;
ALTER TABLE images ADD FOREIGN KEY (project_id) REFERENCES projects(id) ON DELETE SET NULL;
ALTER TABLE instructors ADD FOREIGN KEY (img_id) REFERENCES images(id) ON DELETE SET NULL;
ALTER TABLE instructors ADD FOREIGN KEY (status_id) REFERENCES status(id);
ALTER TABLE interactions ADD FOREIGN KEY (project_id) REFERENCES projects(id) ON DELETE SET NULL;
ALTER TABLE interactions ADD FOREIGN KEY (status_id) REFERENCES status(id);
ALTER TABLE interactions ADD FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE SET NULL;
ALTER TABLE locations ADD FOREIGN KEY (img_id) REFERENCES images(id) ON DELETE SET NULL;
ALTER TABLE locations ADD FOREIGN KEY (project_id) REFERENCES projects(id) ON DELETE SET NULL;
ALTER TABLE locations ADD FOREIGN KEY (status_id) REFERENCES status(id);
ALTER TABLE page_sections ADD FOREIGN KEY (page) REFERENCES pages(id) ON DELETE CASCADE;
ALTER TABLE pages ADD FOREIGN KEY (project) REFERENCES projects(id) ON DELETE SET NULL;
ALTER TABLE participants ADD FOREIGN KEY (status_id) REFERENCES status(id);
ALTER TABLE posts ADD FOREIGN KEY (img_id) REFERENCES images(id) ON DELETE SET NULL;
ALTER TABLE posts ADD FOREIGN KEY (project_id) REFERENCES projects(id) ON DELETE SET NULL;
ALTER TABLE posts ADD FOREIGN KEY (public_user) REFERENCES instructors(id) ON DELETE SET NULL;
ALTER TABLE posts ADD FOREIGN KEY (regio_id) REFERENCES projects(id);
ALTER TABLE posts ADD FOREIGN KEY (status_id) REFERENCES status(id);
ALTER TABLE posts_tags ADD FOREIGN KEY (post_id) REFERENCES posts(id) ON DELETE CASCADE;
ALTER TABLE posts_tags ADD FOREIGN KEY (tag_id) REFERENCES tags(id) ON DELETE CASCADE;
ALTER TABLE project_members ADD FOREIGN KEY (project_id) REFERENCES projects(id) ON DELETE CASCADE;
ALTER TABLE project_members ADD FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;
ALTER TABLE projects ADD FOREIGN KEY (domain_id) REFERENCES domains(id);
ALTER TABLE projects ADD FOREIGN KEY (img_id) REFERENCES images(id) ON DELETE SET NULL;
ALTER TABLE projects ADD FOREIGN KEY (owner_id) REFERENCES users(id);
ALTER TABLE projects ADD FOREIGN KEY (regio) REFERENCES projects(id);
ALTER TABLE projects ADD FOREIGN KEY (status_id) REFERENCES status(id);
ALTER TABLE sysdomains ADD FOREIGN KEY (tld) REFERENCES tlds(name);
ALTER TABLE tasks ADD FOREIGN KEY (status_id) REFERENCES status(id);
ALTER TABLE users ADD FOREIGN KEY (img_id) REFERENCES images(id) ON DELETE SET NULL;
ALTER TABLE users ADD FOREIGN KEY (instructor_id) REFERENCES instructors(id) ON DELETE SET NULL;
ALTER TABLE users ADD FOREIGN KEY (status_id) REFERENCES status(id);

CREATE UNIQUE INDEX idx_domains_domainname ON domains (domainname);
CREATE INDEX idx_event_instructors_event ON event_instructors (event_id);
CREATE INDEX idx_event_instructors_instructor ON event_instructors (instructor_id);
CREATE INDEX idx_events_img_id ON events (img_id);
CREATE INDEX idx_events_tags_event ON events_tags (event_id);
CREATE INDEX idx_events_tags_tag ON events_tags (tag_id);
CREATE INDEX idx_form_input_project ON form_input (project);
CREATE INDEX idx_i18n_codes_name ON i18n_codes (name);
CREATE INDEX idx_i18n_codes_name_variation ON i18n_codes (name, variation);
CREATE INDEX idx_i18n_codes_status ON i18n_codes (status);
CREATE INDEX idx_i18n_codes_type ON i18n_codes (type);
CREATE UNIQUE INDEX idx_i18n_codes_unique ON i18n_codes (name, variation, type);
CREATE INDEX idx_images_owner_id ON images (owner_id);
CREATE INDEX idx_images_project_domaincode ON images (project_domaincode);
CREATE INDEX idx_images_project_id ON images (project_id);
CREATE INDEX idx_images_root_id ON images (root_id);
CREATE INDEX idx_images_status_id ON images (status_id);
CREATE INDEX idx_images_xmlid ON images (xmlid);
CREATE INDEX idx_instructors_img_id ON instructors (img_id);
CREATE INDEX idx_interactions_name ON interactions (name);
CREATE INDEX idx_interactions_project_id ON interactions (project_id);
CREATE INDEX idx_interactions_status_id ON interactions (status_id);
CREATE INDEX idx_interactions_timestamp ON interactions ("timestamp" DESC);
CREATE INDEX idx_interactions_user_id ON interactions (user_id);
CREATE INDEX idx_locations_img_id ON locations (img_id);
CREATE INDEX idx_page_sections_page ON page_sections (page);
CREATE INDEX idx_pages_project ON pages (project);
CREATE INDEX idx_posts_img_id ON posts (img_id);
CREATE INDEX idx_posts_tags_post ON posts_tags (post_id);
CREATE INDEX idx_posts_tags_tag ON posts_tags (tag_id);
CREATE INDEX idx_project_members_project ON project_members (project_id);
CREATE INDEX idx_project_members_user ON project_members (user_id);
CREATE INDEX idx_projects_domaincode ON projects (domaincode);
CREATE INDEX idx_projects_img_id ON projects (img_id);
CREATE INDEX idx_projects_owner ON projects (owner_id);
CREATE INDEX idx_projects_status_id ON projects (status_id);
CREATE INDEX idx_projects_status_old ON projects (status_old);
CREATE INDEX idx_projects_type ON projects (type);
CREATE INDEX idx_record_versions_lookup ON record_versions (version_id, record_type, record_id);
CREATE INDEX idx_status_name ON status (name);
CREATE UNIQUE INDEX idx_status_name_table ON status (name, "table");
CREATE INDEX idx_status_table ON status ("table");
CREATE UNIQUE INDEX idx_tags_name ON tags (name);
CREATE INDEX idx_tasks_category ON tasks (category);
CREATE INDEX idx_tasks_record ON tasks (record_type, record_id);
CREATE INDEX idx_tasks_version ON tasks (version_id);
CREATE INDEX idx_users_img_id ON users (img_id);
CREATE INDEX idx_versions_active ON versions (is_active);

-- Triggers. Several write other tables than their own; some refuse rows.

CREATE FUNCTION stamp_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := to_char(clock_timestamp(), 'YYYY-MM-DD"T"HH24:MI:SS');
    RETURN NEW;
END
$$;
CREATE TRIGGER tasks_updated_at_trigger BEFORE UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

CREATE FUNCTION update_instructor_is_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.instructor_id IS NOT NULL THEN
        UPDATE instructors SET is_user = EXISTS (SELECT FROM users WHERE instructor_id = instructors.id)
            WHERE id = OLD.instructor_id;
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.instructor_id IS NOT NULL THEN
        UPDATE instructors SET is_user = true WHERE id = NEW.instructor_id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER trg_update_instructor_is_user AFTER INSERT OR DELETE OR UPDATE OF instructor_id ON users
    FOR EACH ROW EXECUTE FUNCTION update_instructor_is_user();

CREATE FUNCTION update_participant_is_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE participants SET is_user = EXISTS (SELECT FROM users WHERE participant_id = participants.id)
    WHERE id IN (NEW.participant_id, CASE TG_OP WHEN 'UPDATE' THEN OLD.participant_id END);
    RETURN NULL;
END
$$;
CREATE TRIGGER trg_update_participant_is_user AFTER INSERT OR UPDATE OF participant_id ON users
    FOR EACH ROW EXECUTE FUNCTION update_participant_is_user();

CREATE FUNCTION check_email_uniqueness() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM users WHERE id <> NEW.id
               AND (sysmail IN (NEW.sysmail, NEW.extmail) OR extmail = NEW.sysmail)) THEN
        RAISE EXCEPTION 'mail address of % is in use by another user', NEW.username;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER trigger_check_email_uniqueness BEFORE INSERT OR UPDATE OF sysmail, extmail ON users
    FOR EACH ROW EXECUTE FUNCTION check_email_uniqueness();

CREATE FUNCTION validate_event_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status_id IS NOT NULL AND NOT EXISTS (SELECT FROM status WHERE id = NEW.status_id
                                                 AND "table" = 'events') THEN
        RAISE EXCEPTION 'status % is none of an event', NEW.status_id;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER trg_validate_event_status BEFORE INSERT OR UPDATE OF status_id ON events
    FOR EACH ROW EXECUTE FUNCTION validate_event_status();

CREATE FUNCTION check_interactions_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM status WHERE id = NEW.status_id AND "table" = 'interactions') THEN
        RAISE EXCEPTION 'status % is none of an interaction', NEW.status_id;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER trigger_check_interactions_status BEFORE INSERT OR UPDATE OF status_id ON interactions
    FOR EACH ROW EXECUTE FUNCTION check_interactions_status();

CREATE FUNCTION enforce_sysdomain_tld() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.tld := coalesce((SELECT tld FROM sysdomains WHERE id = NEW.sysdomain_id), NEW.tld);
    RETURN NEW;
END
$$;
CREATE TRIGGER trigger_enforce_sysdomain_tld BEFORE INSERT OR UPDATE OF sysdomain_id, tld ON domains
    FOR EACH ROW EXECUTE FUNCTION enforce_sysdomain_tld();

-- An event or post belongs to the region of its project.
CREATE FUNCTION update_regio_of_project() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.regio_id := (SELECT CASE WHEN type = 'regio' THEN id ELSE regio END FROM projects WHERE id = NEW.project_id);
    RETURN NEW;
END
$$;
CREATE TRIGGER trg_update_events_regio BEFORE INSERT OR UPDATE OF project_id ON events
    FOR EACH ROW EXECUTE FUNCTION update_regio_of_project();
CREATE TRIGGER trg_update_posts_regio BEFORE INSERT OR UPDATE OF project_id ON posts
    FOR EACH ROW EXECUTE FUNCTION update_regio_of_project();

CREATE FUNCTION update_project_location_provider() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE projects SET is_location_provider = EXISTS (
        SELECT FROM locations WHERE project_id = projects.id AND is_location_provider = 'true')
    WHERE id = NEW.project_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER trg_update_project_location_provider AFTER INSERT OR UPDATE ON locations
    FOR EACH ROW EXECUTE FUNCTION update_project_location_provider();

CREATE FUNCTION create_project_pages() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pages WHERE project = NEW.id AND page_type = 'landing') THEN
        INSERT INTO pages (project, page_type) VALUES (NEW.id, 'landing');
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER trigger_create_project_pages_on_status AFTER UPDATE OF status_id ON projects
    FOR EACH ROW WHEN (OLD.status_id IS DISTINCT FROM NEW.status_id) EXECUTE FUNCTION create_project_pages();

CREATE FUNCTION update_events_tags() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE events SET
        tags_ids = ARRAY(SELECT tag_id FROM events_tags WHERE event_id = events.id ORDER BY tag_id),
        tags_display = ARRAY(SELECT name FROM tags JOIN events_tags ON tag_id = tags.id WHERE event_id = events.id
                             ORDER BY tag_id)
    WHERE id = CASE TG_OP WHEN 'DELETE' THEN OLD.event_id ELSE NEW.event_id END;
    RETURN NULL;
END
$$;
CREATE TRIGGER trg_update_events_tags AFTER INSERT OR DELETE ON events_tags
    FOR EACH ROW EXECUTE FUNCTION update_events_tags();

CREATE FUNCTION update_posts_tags() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE posts SET
        tags_ids = ARRAY(SELECT tag_id FROM posts_tags WHERE post_id = posts.id ORDER BY tag_id),
        tags_display = ARRAY(SELECT name FROM tags JOIN posts_tags ON tag_id = tags.id WHERE post_id = posts.id
                             ORDER BY tag_id)
    WHERE id = CASE TG_OP WHEN 'DELETE' THEN OLD.post_id ELSE NEW.post_id END;
    RETURN NULL;
END
$$;
CREATE TRIGGER trg_update_posts_tags AFTER INSERT OR DELETE ON posts_tags
    FOR EACH ROW EXECUTE FUNCTION update_posts_tags();

-- An image's derived columns: its flags come from the bits of rtags, its previews from its shapes.
CREATE FUNCTION update_image_computed_fields() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.is_public := get_byte(NEW.rtags, 0) & 1 <> 0;
    NEW.is_private := get_byte(NEW.rtags, 0) & 2 <> 0;
    NEW.is_internal := get_byte(NEW.rtags, 0) & 4 <> 0;
    NEW.is_deprecated := get_byte(NEW.rtags, 0) & 8 <> 0;
    NEW.has_issues := get_byte(NEW.ctags, 0) & 128 <> 0;
    NEW.img_thumb := to_jsonb(NEW.shape_thumb);
    NEW.img_square := to_jsonb(NEW.shape_square);
    NEW.img_wide := to_jsonb(NEW.shape_wide);
    NEW.img_vert := to_jsonb(NEW.shape_vertical);
    NEW.img_show := NEW.is_public AND NOT NEW.is_deprecated;
    NEW.project_domaincode := (SELECT domaincode FROM projects WHERE id = NEW.project_id);
    RETURN NEW;
END
$$;
CREATE TRIGGER trigger_update_image_computed_fields BEFORE INSERT OR UPDATE ON images
    FOR EACH ROW EXECUTE FUNCTION update_image_computed_fields();

CREATE FUNCTION sync_img_fields() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT img_show, img_thumb, img_square, img_wide, img_vert
    INTO NEW.img_show, NEW.img_thumb, NEW.img_square, NEW.img_wide, NEW.img_vert
    FROM images WHERE id = NEW.img_id;
    RETURN NEW;
END
$$;

CREATE FUNCTION propagate_image_fields() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    entity text;
BEGIN
    FOREACH entity IN ARRAY ARRAY['users', 'projects', 'instructors', 'locations', 'events', 'posts'] LOOP
        EXECUTE format('UPDATE %I SET (img_show, img_thumb, img_square, img_wide, img_vert) = ($1, $2, $3, $4, $5) '
                       'WHERE img_id = $6', entity)
        USING NEW.img_show, NEW.img_thumb, NEW.img_square, NEW.img_wide, NEW.img_vert, NEW.id;
    END LOOP;
    RETURN NULL;
END
$$;
CREATE TRIGGER trigger_propagate_to_entities AFTER UPDATE ON images FOR EACH ROW
    WHEN ((OLD.img_show, OLD.img_thumb, OLD.img_square, OLD.img_wide, OLD.img_vert)
          IS DISTINCT FROM (NEW.img_show, NEW.img_thumb, NEW.img_square, NEW.img_wide, NEW.img_vert))
    EXECUTE FUNCTION propagate_image_fields();

CREATE TRIGGER trigger_sync_img_fields BEFORE INSERT OR UPDATE OF img_id ON users
    FOR EACH ROW WHEN (NEW.img_id IS NOT NULL) EXECUTE FUNCTION sync_img_fields();
CREATE TRIGGER trigger_sync_img_fields BEFORE INSERT OR UPDATE OF img_id ON projects
    FOR EACH ROW WHEN (NEW.img_id IS NOT NULL) EXECUTE FUNCTION sync_img_fields();
CREATE TRIGGER trigger_sync_img_fields BEFORE INSERT OR UPDATE OF img_id ON instructors
    FOR EACH ROW WHEN (NEW.img_id IS NOT NULL) EXECUTE FUNCTION sync_img_fields();
CREATE TRIGGER trigger_sync_img_fields BEFORE INSERT OR UPDATE OF img_id ON locations
    FOR EACH ROW WHEN (NEW.img_id IS NOT NULL) EXECUTE FUNCTION sync_img_fields();
CREATE TRIGGER trigger_sync_img_fields BEFORE INSERT OR UPDATE OF img_id ON events
    FOR EACH ROW WHEN (NEW.img_id IS NOT NULL) EXECUTE FUNCTION sync_img_fields();
CREATE TRIGGER trigger_sync_img_fields BEFORE INSERT OR UPDATE OF img_id ON posts
    FOR EACH ROW WHEN (NEW.img_id IS NOT NULL) EXECUTE FUNCTION sync_img_fields();

-- Words first. The ids 2 (tasks) and 18 (projects) are the defaults of other tables.

INSERT INTO status (id, value, name, "table", description, name_i18n, desc_i18n)
SELECT number, place, name, kind, initcap(name) || ' ' || kind,
       jsonb_build_object('de', german, 'en', english, 'cz', czech),
       jsonb_build_object('de', german || ' (' || kind || ')')
FROM (VALUES
    (1, 0, 'idea', 'tasks'), (2, 1, 'new', 'tasks'), (3, 2, 'draft', 'tasks'), (4, 4, 'final', 'tasks'),
    (5, 8, 'reopen', 'tasks'),
    (6, 16, 'trash', 'tasks'),
    (7, 1, 'new', 'persons'), (8, 2, 'demo', 'persons'), (9, 4, 'active', 'persons'), (10, 8, 'archived', 'persons'),
    (11, 16, 'trash', 'persons'),
    (12, 1, 'new', 'users'), (13, 2, 'demo', 'users'), (14, 4, 'active', 'users'), (15, 8, 'archived', 'users'),
    (16, 16, 'trash', 'users'),
    (17, 0, 'idea', 'projects'), (18, 1, 'new', 'projects'), (19, 2, 'demo', 'projects'), (20, 4, 'draft', 'projects'),
    (21, 8, 'final', 'projects'), (22, 16, 'trash', 'projects'),
    (23, 1, 'new', 'events'), (24, 2, 'demo', 'events'), (25, 4, 'draft', 'events'), (26, 8, 'final', 'events'),
    (27, 12, 'archived', 'events'), (28, 16, 'trash', 'events'),
    (29, 1, 'new', 'posts'), (30, 2, 'demo', 'posts'), (31, 4, 'draft', 'posts'), (32, 8, 'final', 'posts'),
    (33, 16, 'trash', 'posts'),
    (34, 1, 'new', 'interactions'), (35, 4, 'active', 'interactions'), (36, 8, 'final', 'interactions'),
    (37, 16, 'trash', 'interactions'),
    (38, 1, 'new', 'images'), (39, 4, 'final', 'images'), (40, 16, 'trash', 'images')
) AS entry (number, place, name, kind)
JOIN (VALUES
    ('idea', 'Idee', 'Idea', 'Nápad'), ('new', 'Neu', 'New', 'Nový'), ('demo', 'Demo', 'Demo', 'Ukázka'),
    ('draft', 'Entwurf', 'Draft', 'Koncept'),
    ('final', 'Fertig', 'Final', 'Hotovo'), ('reopen', 'Wieder offen', 'Reopened', 'Znovu otevřeno'),
    ('active', 'Aktiv', 'Active', 'Aktivní'),
    ('archived', 'Archiviert', 'Archived', 'Archivováno'), ('trash', 'Papierkorb', 'Trash', 'Koš')
) AS word (name, german, english, czech) USING (name)
ORDER BY number;
SELECT setval('status_id_seq', 40);

INSERT INTO tlds (name, description, relevance)
VALUES ('de', 'Deutschland', 1), ('org', NULL, 1), ('cz', 'Česko', 2), ('example', 'For documents', 3), ('eu', NULL, 4);

INSERT INTO sysdomains (tld, domain, subdomain, description, options)
VALUES ('example', 'buehne', NULL, 'The network itself', '{"ssl": true}'),
       ('example', 'buehne', 'regio', 'Regions', NULL),
       ('de', 'spielraum', '', 'Older name', '{"redirect": ["regio", "buehne"]}');

INSERT INTO tags (name, description, name_i18n, desc_i18n)
SELECT english, NULL, jsonb_build_object('de', german, 'en', english), NULL
FROM (VALUES ('workshop', 'Werkstatt'), ('performance', 'Aufführung'), ('festival', 'Fest'),
      ('training', 'Fortbildung'), ('youth', 'Jugend'),
             ('online', 'Online'), ('report', 'Bericht'), ('free entry', 'Eintritt frei'), ('outdoor', 'Draußen'),
             ('archive', 'Archiv'))
     AS tag (english, german);

-- The circle, opened: rows first without the references that point forward, which follow further down.

INSERT INTO users (sysmail, extmail, username, password, role, status_id, lang, created_at, updated_at)
SELECT lower(translate(name, ' öářýŠš', '.oaryss')) || '@buehne.example',
       CASE WHEN number % 3 = 0 THEN format('person%s@mail.example', number) END,
       name, 'scrypt:demo:' || md5(name), CASE WHEN number = 1 THEN 'admin' WHEN number <= 4 THEN 'base'
            ELSE 'user' END,
       CASE WHEN number % 11 = 0 THEN NULL ELSE 12 + number % 4 END,
       CASE WHEN number % 10 = 7 THEN 'cz' WHEN number % 5 = 3 THEN 'en' ELSE 'de' END,
       timestamp '2025-01-06 09:00' + make_interval(days => number::integer), timestamp '2025-09-01 12:30:45.123456'
FROM unnest(ARRAY[
    'Admin', 'Anna Berger', 'Karl Vogt', 'Mira Jung', 'Hannes Kröger', 'Jana Dvořák', 'Petr Malý', 'Leonie Busch',
    'Omar Said', 'Greta Falk',
    'Tilman Roth', 'Ines Paulsen', 'Sven Ahrens', 'Clara Winter', 'Eva Horák', 'Ruben Stein', 'Paula Gerlach',
    'Yusuf Demir', 'Nele Kranz',
    'Fritz Lorenz', 'Ada Sommer', 'Jonas Thiel', 'Milena Vašek', 'Bruno Haas', 'Ronja Ebert', 'Zoe Lindner',
    'Theo Marx', 'Alma Reich',
    'Ivan Šimek', 'Lotte Engel'
]) WITH ORDINALITY AS person (name, number);

INSERT INTO projects (domaincode, name, description, owner_id, type, heading, theme, teaser, config, partner_projects,
                      cta_entity,
                      page_background, page_navigation, aside_postit, header_alert, footer_sitemap, is_company,
                      status_id, created_at)
SELECT code, title, title || ' im Netzwerk', 1 + number % 30, kind, title || ' **auf der Bühne**', number % 5,
       'Spielen, lernen, zusehen', jsonb_build_object('onepage', number % 3 = 0, 'service', number % 4 = 0, 'sidebar',
                                                      number % 2 = 0,
                                                     'order', jsonb_build_array(number, 'events', 'posts')),
       CASE WHEN number > 9 THEN 'dresden,leipzig' END, (ARRAY['post', 'event', 'instructor'])[1 + number % 3],
       CASE WHEN number % 2 = 0 THEN '#fff8e7' ELSE '' END,
       CASE WHEN number % 3 = 0 THEN '{"items": [{"label": "Termine", "to": "/events"}]}'::jsonb ELSE '{}'::jsonb END,
       CASE WHEN number % 4 = 1 THEN '{"text": "Neu hier?"}'::jsonb ELSE '{}'::jsonb END,
       CASE WHEN number = 5 THEN '{"text": "Ausverkauft"}'::jsonb ELSE '{}'::jsonb END,
       CASE WHEN number % 5 = 0 THEN 'full' ELSE '' END, number = 12, 17 + number % 6,
       timestamp '2025-02-01' + make_interval(days => number)
FROM (VALUES (1, 'dresden', 'Dresden', 'regio'), (2, 'leipzig', 'Leipzig', 'regio'), (3, 'praha', 'Praha', 'regio'),
             (4, 'forum', 'Forumtheater', 'topic'), (5, 'maske', 'Maskenspiel', 'topic'),
             (6, 'hofbuehne', 'Hofbühne', 'project'),
             (7, 'jugendclub', 'Jugendclub', 'project'), (8, 'sommerfest', 'Sommerfest', 'project'),
             (9, 'wanderbuehne', 'Wanderbühne', 'project'),
             (10, 'archiv_2024', 'Archiv 2024', 'project'), (11, 'dev', 'Werkbank', 'special'),
             (12, 'altes_kino', 'Altes Kino', 'location'))
     AS project (number, code, title, kind)
ORDER BY number;

INSERT INTO domains (sysdomain_id, tld, textdomain, admin_user_id, project_id, description)
SELECT CASE WHEN number % 4 = 0 THEN NULL ELSE 1 + number % 3 END, 'org', domaincode, 1 + number % 6, id,
       'Domain of ' || name
FROM (SELECT *, id AS number FROM projects) AS numbered WHERE id <= 9 ORDER BY id;
INSERT INTO domains (sysdomain_id, tld, textdomain, admin_user_id, description)
VALUES (1, 'example', NULL, 1, 'The front door');

INSERT INTO images (xmlid, name, url, project_id, status_id, owner_id, alt_text, title, date, geo, x, y, shape_wide,
                    shape_square,
                    shape_vertical, shape_thumb, fileformat, embedformat, license, length, about, author, producer,
                    publisher, variations,
                    root_id, use_player, ctags, rtags, created_at, updated_at)
SELECT CASE WHEN number <= 78 THEN format('image.scene_%s', number) END, format('Scene %s', number),
       format('https://images.example/%s.jpg', md5('image ' || number)), CASE
            WHEN number % 7 > 0 THEN 1 + number % 12 END,
       (ARRAY[0, 38, 39, 39])[1 + number % 4], CASE WHEN number % 9 > 0 THEN 1 + number % 30 END,
       format('Szene %s, „Licht“ & Schatten', number), NULL,
       timestamp '2025-03-01 18:00' + make_interval(hours => number * 7),
       CASE WHEN number % 5 = 0 THEN jsonb_build_object('lat', 51.05 + number / 1000.0, 'lon', 13.74) END, 1600, 900,
       ROW(format('wide/%s?w=1600', number), 0, 10, 1.25, 'crop=entropy,left')::image_shape,
       ROW(format('square/%s', number), number, NULL, 1, '')::image_shape,
       CASE WHEN number % 3 = 0 THEN ROW(format('vert/%s', number), 5, 5, 0.8, 'a "quoted" \ part')::image_shape END,
       ROW(format('thumb/%s', number), NULL, NULL, NULL, NULL)::image_shape,
       (ARRAY['jpeg', 'png', 'webp', 'mp4'])[1 + number % 4]::image_file_type, CASE
            WHEN number % 4 = 3 THEN 'vimeo'::embed_file_type END,
       (ARRAY['BY', 'BY-SA', 'CC0', 'private'])[1 + number / 3 % 4]::media_licence, CASE
            WHEN number % 4 = 3 THEN 90 + number END,
       CASE WHEN number % 6 = 0 THEN E'Zwei Zeilen\nüber das Bild' END,
       ROW('external', format('Photographer %s', number % 8),
           '{"handles": ["@stage", "a,b"], "paid": false}')::media_adapter,
       CASE WHEN number % 4 = 0 THEN ROW('cloudinary', NULL, '{"cloud": {"id": 7}}')::media_adapter END, NULL,
       CASE WHEN number % 2 = 0 THEN
           ROW('poster', ROW(format('poster/%s', number), 3, 4, 2.5, NULL)::image_shape,
               timestamp '2025-05-01 08:00')::image_variation END,
       CASE WHEN number % 8 = 0 THEN number - 1 END, number % 4 = 3,
       set_byte('\x0000'::bytea, 0, CASE WHEN number % 13 = 0 THEN 128 ELSE number % 64 END),
       set_byte('\x00'::bytea, 0, number % 16),
       timestamp '2025-03-02' + make_interval(hours => number), timestamp '2025-06-01' + make_interval(hours => number)
FROM generate_series(1, 80) AS number;

INSERT INTO instructors (xmlid, name, email, phone, city, country_id, description, status_id, multiproject, md,
                         created_at, header_size,
                         regio_id, img_id, lang)
SELECT format('instructor.%s', number), name, CASE WHEN number % 4 > 0 THEN format('lead%s@buehne.example', number) END,
       '0171' || lpad((number * 7919)::text, 7, '0'), (ARRAY['Dresden', 'Leipzig', 'Praha'])[1 + number % 3],
       (ARRAY['DE', 'DE', 'CZ'])[1 + number % 3],
       'Leitet Werkstätten', 7 + number % 4, CASE WHEN number % 6 = 0 THEN 'no' ELSE 'yes' END,
       E'# ' || name || E'\n\nSpielt seit *vielen* Jahren.',
       timestamp '2025-02-10' + make_interval(days => number::integer),
       (ARRAY['small', 'medium', 'large'])[1 + number % 3], 1 + number % 3,
       CASE WHEN number % 5 > 0 THEN number * 3 END, CASE WHEN number % 3 = 2 THEN 'cz' ELSE 'de' END
FROM unnest(ARRAY[
    'Anna Berger', 'Jana Dvořák', 'Petr Malý', 'Ruben Stein', 'Paula Gerlach', 'Rosa Klee', 'Emil Sand',
    'Vera Novotná', 'Marek Říha', 'Till Brand',
    'Susi Kern', 'Olga Pech', 'Kai Holm', 'Ulla Frey', 'Dana Beneš', 'Max Oster', 'Lena Voss', 'Radka Bílá',
    'Piet Maas', 'Nora Huth',
    'Erik Zorn', 'Hedda Blum', 'Tomáš Král', 'Gesa Wulf', 'Ole Brink'
]) WITH ORDINALITY AS person (name, number);

INSERT INTO participants (xmlid, name, age, city, country_id, event_xmlid, type, status_id, created_at, lang)
SELECT format('participant.%s', number), format('Gast %s', number), CASE WHEN number % 4 > 0 THEN 15 + number END,
       'Dresden', 'DE',
       format('event.%s', 1 + number % 40), CASE WHEN number % 2 = 0 THEN 'player' ELSE 'guest' END, 7 + number % 3,
       timestamp '2025-04-01', 'de'
FROM generate_series(1, 18) AS number;

-- The circle, closed.
UPDATE users SET instructor_id = instructors.id FROM instructors WHERE instructors.name = users.username;
UPDATE users SET img_id = id * 2 + 1, participant_id = CASE WHEN id > 20 THEN id - 20 END WHERE id % 4 > 0;
UPDATE projects SET
    regio = CASE WHEN type NOT IN ('regio', 'special') THEN 1 + id % 3 END,
    img_id = CASE WHEN id % 5 > 0 THEN 60 + id END,
    domain_id = (SELECT min(domains.id) FROM domains WHERE project_id = projects.id),
    member_ids = jsonb_build_array(owner_id, 1 + (id * 2 + 3) % 30, 1 + (id * 3 + 8) % 30);

-- What refers to the circle.

INSERT INTO locations (xmlid, name, phone, email, city, zip, street, country_id, is_location_provider, status_id,
                       project_id, created_at,
                       img_id, lang)
SELECT format('location.%s', number), format('%s %s', (ARRAY['Saal', 'Studio', 'Hof', 'Keller'])[1 + number % 4], city),
       '0351' || lpad((number * 6131)::text, 7, '0'), format('raum%s@buehne.example', number), city, zip,
       format('Spielgasse %s', number),
       CASE WHEN city = 'Praha' THEN 'CZ' ELSE 'DE' END, CASE WHEN number % 6 = 0 THEN 'true' ELSE 'false' END,
       7 + number % 3, 1 + number % 12,
       timestamp '2025-02-20', CASE WHEN number % 3 = 0 THEN number END, CASE WHEN city = 'Praha' THEN 'cz'
            ELSE 'de' END
FROM generate_series(1, 20) AS number
JOIN (VALUES (0, 'Dresden', '01067'), (1, 'Leipzig', '04109'), (2, 'Praha', '11000'), (3, 'Görlitz', '02826'),
      (4, 'Gera', '07545'))
     AS place (rest, city, zip) ON rest = number % 5
ORDER BY number;

INSERT INTO events (xmlid, name, date_begin, date_end, user_id, seats_max, teaser, created_at, public_user, location,
                    event_type, md,
                    status_id, lang, project_id, img_id)
SELECT format('event.%s', number), format('%s %s', (ARRAY['Werkstatt', 'Premiere', 'Probe', 'Fest'])[1 + number % 4],
                                          number),
       to_char(date '2025-11-09' + number * 3, 'YYYYMMDD'),
       to_char(date '2025-11-09' + number * 3 + number % 3, 'YYYYMMDD'),
       1 + number % 30, CASE WHEN number % 5 > 0 THEN number * 2 END, 'Mit „Licht“, Ton & Text',
       timestamp '2025-08-01' + make_interval(hours => number),
       CASE WHEN number % 6 > 0 THEN 1 + number % 25 END, CASE WHEN number % 7 > 0 THEN 1 + number % 20 END,
       (ARRAY['workshop', 'performance', NULL])[1 + number % 3], E'## Ablauf\n\n1. Ankommen\n2. Spielen',
       23 + number % 5,
       (ARRAY['de', 'de', 'en', 'cz'])[1 + number % 4], 1 + number % 12, CASE WHEN number % 3 > 0 THEN number * 2 END
FROM generate_series(1, 40) AS number;

-- The last row refers to an instructor that is gone: nothing in the schema forbids it.
INSERT INTO event_instructors (event_id, instructor_id, added_at)
SELECT number, 1 + (number * place) % 25, timestamp '2025-08-02' FROM generate_series(1, 40) AS number,
       generate_series(1, 2) AS place
WHERE place = 1 OR number % 3 = 0
UNION ALL SELECT 7, 999, timestamp '2025-08-02';

INSERT INTO events_tags (event_id, tag_id, created_at)
SELECT number, 1 + (number + place * 3) % 10, timestamp '2025-08-03' FROM generate_series(1, 40) AS number,
       generate_series(0, 2) AS place
WHERE place <= number % 3
ORDER BY number, place;

INSERT INTO posts (xmlid, name, subtitle, teaser, author_id, post_date, created_at, public_user, md, status_id, lang,
                   project_id, img_id)
SELECT format('post.%s', number), format('Bericht %s', number), CASE WHEN number % 3 = 0 THEN 'Ein Abend' END,
       'Kurz gesagt', NULL,
       to_char(date '2025-05-01' + number * 2, 'YYYY-MM-DD'),
       timestamp '2025-05-01 10:00:00.000001' + make_interval(days => number * 2),
       CASE WHEN number % 4 > 0 THEN 1 + number % 25 END,
       repeat(format(E'Absatz über Szene %s mit *Sternchen*, \\ und "Zitaten".\n\n', number), 1 + number % 7),
       29 + number % 4, 'de',
       1 + number % 12, CASE WHEN number % 2 = 0 THEN 1 + number END
FROM generate_series(1, 60) AS number;

INSERT INTO posts_tags (post_id, tag_id, created_at)
SELECT number, 1 + (number * 7) % 10, timestamp '2025-05-02' FROM generate_series(1, 60) AS number WHERE number % 4 > 0;

INSERT INTO project_members (project_id, user_id, role, added_at)
SELECT projects.id, member.value::integer, CASE WHEN member.value::integer = owner_id THEN 'owner' ELSE 'member' END,
       timestamp '2025-03-01'
FROM projects, jsonb_array_elements_text(member_ids) AS member (value)
GROUP BY projects.id, member.value, owner_id
ORDER BY projects.id, member.value::integer;

INSERT INTO pages (id, project, header_type, page_type, created_at, updated_at, page_options, header_options,
                   aside_options)
SELECT md5('page ' || number)::uuid::text, 1 + number % 12,
       (ARRAY['simple', 'columns', 'banner', 'cover', 'bauchbinde'])[1 + number % 5],
       (ARRAY['landing', 'event', 'post'])[1 + number / 12], timestamp '2025-03-05', timestamp '2025-03-06',
       CASE WHEN number % 2 = 0 THEN '{"background": "paper", "columns": [1, 2, {"wide": true}]}'::jsonb
            ELSE '{}'::jsonb END,
       CASE WHEN number % 3 = 0 THEN '{"title": "Willkommen"}'::jsonb ELSE '{}'::jsonb END, CASE
            WHEN number % 5 = 0 THEN NULL ELSE '{}'::jsonb END
FROM generate_series(0, 29) AS number;

INSERT INTO page_sections (id, page, scope, type, heading, created_at, updated_at)
SELECT md5('section ' || pages.id || place)::uuid::text, pages.id, (ARRAY['page', 'header', 'aside', 'bottom'])[place],
       (ARRAY['1_postit', '2_list', '3_gallery'])[1 + place % 3], 'Abschnitt ' || place, timestamp '2025-03-07',
       timestamp '2025-03-07'
FROM pages CROSS JOIN generate_series(1, 2) AS place
ORDER BY pages.id, place;

INSERT INTO interactions (user_id, name, project_id, "timestamp", status_id, actions, to_mail, from_mail, subject, md,
                          fields)
SELECT CASE WHEN number % 6 > 0 THEN 1 + number % 30 END,
       (ARRAY['contact', 'registration', 'newsletter'])[1 + number % 3],
       CASE WHEN number % 10 > 0 THEN 1 + number % 12 END,
       timestamp '2025-10-25 21:00' + make_interval(mins => number * 13), 34 + number % 3,
       jsonb_build_array('mail', jsonb_build_object('step', number % 3, 'done', number % 2 = 0)),
       'office@buehne.example',
       format('guest%s@mail.example', number), 'Anfrage', 'Guten Tag,' || E'\n\n' || 'gibt es noch Plätze?',
       jsonb_build_object('seats', number % 4, 'phone', '0170' || lpad(number::text, 7, '0'), 'tags',
                          jsonb_build_array(1, 2))
FROM generate_series(1, 80) AS number;

INSERT INTO tasks (id, name, description, category, priority, record_type, record_id, assigned_to, created_at,
                   due_date, version_id, release_id,
                   status_id, lang)
SELECT md5('task ' || number)::uuid::text, format('Aufgabe %s', number), NULL,
       (ARRAY['project', 'base', 'admin', 'main'])[1 + number % 4],
       (ARRAY['low', 'medium', 'high', 'urgent'])[1 + number % 4], CASE WHEN number % 2 = 0 THEN 'event' END,
       CASE WHEN number % 2 = 0 THEN format('event.%s', number) END, format('%s', 1 + number % 30),
       timestamp '2025-07-01' + make_interval(days => number),
       to_char(date '2025-12-01' + number, 'YYYY-MM-DD'), 'v' || (1 + number % 2), CASE
            WHEN number % 3 = 0 THEN 'r1' END, 1 + number % 6,
       CASE WHEN number % 5 = 0 THEN 'en' ELSE 'de' END
FROM generate_series(1, 25) AS number;
INSERT INTO tasks (id, name) VALUES ('task-with-defaults', 'Nur mit Vorgaben');

INSERT INTO versions (id, version_number, name, description, created_by, is_active, snapshot_data, notes)
VALUES ('v1', '0.9', 'Frühjahr', NULL, 'Admin', 0, '{"events": 12}', NULL),
       ('v2', '1.0', 'Herbst', 'Neue Seiten', 'Anna Berger', 1, NULL, 'läuft');

INSERT INTO releases (id, version, version_major, version_minor, description, state, release_date)
VALUES ('r0', '0.9', 0, 9, 'First stage', 'final', '2025-04-01'), ('r1', '1.0', 1, 0, 'Regions', 'draft', NULL),
       ('r2', '1.1', 1, 1, NULL, 'idea', NULL);

INSERT INTO record_versions (id, version_id, record_type, record_id, data, created_at)
SELECT md5('record ' || id)::uuid::text, 'v1', 'event', xmlid, jsonb_build_object('name', name, 'md', md)::text,
       timestamp '2025-09-01'
FROM events WHERE id <= 12 ORDER BY id;

INSERT INTO form_input (id, project, name, email, "user", input, created_at, updated_at)
SELECT md5('form ' || number)::uuid::text, 1 + number % 12, format('Gast %s', number),
       format('guest%s@mail.example', number),
       CASE WHEN number % 3 = 0 THEN 'Anna Berger' END,
       jsonb_build_object('wish', 'Fensterplatz', 'days', jsonb_build_array('Fr', 'Sa')),
       timestamp '2025-10-01', timestamp '2025-10-01'
FROM generate_series(1, 9) AS number;

INSERT INTO i18n_codes (name, variation, type, text, status)
SELECT name, 'false', kind, jsonb_build_object('de', german, 'en', english), CASE WHEN name = 'save' THEN 'ok'
            ELSE 'de' END
FROM (VALUES ('save', 'button', 'Speichern', 'Save'), ('cancel', 'button', 'Abbrechen', 'Cancel'),
      ('events', 'nav', 'Termine', 'Events'),
             ('posts', 'nav', 'Beiträge', 'Posts'), ('zip', 'field', 'PLZ', 'Postcode'),
             ('zip', 'desc', 'Fünf Ziffern', 'Five digits'))
     AS code (name, kind, german, english);

INSERT INTO hero_overrides (id, cimg, heading, description, event_ids)
VALUES ('home', 'https://images.example/hero.jpg', 'Bühne frei', NULL, '["event.1", "event.2"]'),
       ('dresden', NULL, 'Dresden spielt', 'Im Sommer', NULL);

INSERT INTO crearis_config (config) VALUES ('{"theme": {"dark": false}, "features": ["events", "posts"]}');

INSERT INTO system_config (key, value, description)
VALUES ('schema_version', '42', NULL), ('watch_files', 'true', 'Reload on change'), ('default_lang', 'de', NULL);
