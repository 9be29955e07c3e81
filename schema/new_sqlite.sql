CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE filter (
	filter_id INTEGER NOT NULL,
	name VARCHAR(64) NOT NULL,
	CONSTRAINT pk_filter PRIMARY KEY (filter_id),
	CONSTRAINT uq_filter_name UNIQUE (name)
);
CREATE TABLE flux (
	source_id INTEGER NOT NULL,
	image_id INTEGER NOT NULL,
	aperture SMALLINT NOT NULL,
	flux DOUBLE,
	flux_error DOUBLE,
	flag SMALLINT NOT NULL,
	CONSTRAINT pk_flux PRIMARY KEY (source_id, image_id, aperture)
)
 WITHOUT ROWID;
CREATE TABLE instrument (
	instrument_id INTEGER NOT NULL,
	name VARCHAR(64) NOT NULL,
	telescope VARCHAR(64) NOT NULL, diameter_m DOUBLE,
	CONSTRAINT pk_instrument PRIMARY KEY (instrument_id),
	CONSTRAINT uq_instrument_name_telescope UNIQUE (name, telescope)
);
CREATE TABLE light_curve_statistics (
	pid BIGINT NOT NULL,
	source_id INTEGER NOT NULL,
	aperture SMALLINT NOT NULL,
	observation_id INTEGER NOT NULL,
	calibration_pid BIGINT NOT NULL,
	epochs INTEGER NOT NULL,
	flux_median DOUBLE,
	scatter DOUBLE,
	standard_deviation DOUBLE,
	point_to_point DOUBLE,
	error_median DOUBLE,
	chi2_reduced DOUBLE,
	von_neumann DOUBLE,
	best_aperture BOOLEAN NOT NULL, expected_scatter DOUBLE, noise_source DOUBLE, noise_sky DOUBLE, noise_read DOUBLE, noise_dark DOUBLE, noise_flat DOUBLE, noise_scintillation DOUBLE, noise_reference DOUBLE, cdpp DOUBLE, expected_cdpp DOUBLE, best_snr BOOLEAN,
	CONSTRAINT pk_light_curve_statistics PRIMARY KEY (pid, source_id, aperture)
);
CREATE INDEX ix_light_curve_statistics_source_id ON light_curve_statistics (source_id);
CREATE TABLE obs_site (
	obs_site_id INTEGER NOT NULL,
	name VARCHAR(64) NOT NULL,
	longitude_deg DOUBLE,
	latitude_deg DOUBLE,
	elevation_m DOUBLE,
	CONSTRAINT pk_obs_site PRIMARY KEY (obs_site_id),
	CONSTRAINT uq_obs_site_name UNIQUE (name)
);
CREATE TABLE process_group (
	group_id INTEGER NOT NULL,
	name VARCHAR(64) NOT NULL,
	description VARCHAR(255) NOT NULL,
	CONSTRAINT pk_process_group PRIMARY KEY (group_id),
	CONSTRAINT uq_process_group_name UNIQUE (name)
);
CREATE TABLE reference_star (
	pid BIGINT NOT NULL,
	source_id INTEGER NOT NULL,
	aperture SMALLINT NOT NULL,
	method VARCHAR(16) NOT NULL,
	reference_group INTEGER NOT NULL,
	is_reference BOOLEAN NOT NULL,
	weight FLOAT, role VARCHAR(16), level DOUBLE, mean_level DOUBLE, scatter DOUBLE, error_factor DOUBLE,
	CONSTRAINT pk_reference_star PRIMARY KEY (pid, source_id, aperture)
)
 WITHOUT ROWID;
CREATE TABLE relative_flux (
	source_id INTEGER NOT NULL,
	image_id INTEGER NOT NULL,
	aperture SMALLINT NOT NULL,
	pid BIGINT NOT NULL,
	flux DOUBLE,
	flux_error DOUBLE,
	CONSTRAINT pk_relative_flux PRIMARY KEY (source_id, image_id, aperture, pid)
)
 WITHOUT ROWID;
CREATE TABLE site (
	site_id INTEGER NOT NULL,
	name VARCHAR(64) NOT NULL,
	root TEXT NOT NULL,
	CONSTRAINT pk_site PRIMARY KEY (site_id),
	CONSTRAINT uq_site_name UNIQUE (name)
);
CREATE TABLE sky (
	sky_id INTEGER NOT NULL,
	name VARCHAR(128) NOT NULL,
	pid BIGINT,
	ra_deg DOUBLE,
	dec_deg DOUBLE,
	wcs TEXT,
	created_at DATETIME NOT NULL, radius_deg DOUBLE, wcs_rms_arcsec DOUBLE, wcs_matches INTEGER, solve_pid BIGINT,
	CONSTRAINT pk_sky PRIMARY KEY (sky_id),
	CONSTRAINT uq_sky_pid UNIQUE (pid)
);
CREATE TABLE target (
	target_id INTEGER NOT NULL,
	kind VARCHAR(5) NOT NULL,
	name VARCHAR(128) NOT NULL,
	ra_deg DOUBLE,
	dec_deg DOUBLE,
	CONSTRAINT pk_target PRIMARY KEY (target_id),
	CONSTRAINT uq_target_kind_name UNIQUE (kind, name)
);
CREATE TABLE source (
	source_id INTEGER NOT NULL,
	sky_id INTEGER NOT NULL,
	pid BIGINT NOT NULL,
	x DOUBLE NOT NULL,
	y DOUBLE NOT NULL,
	ra_deg DOUBLE,
	dec_deg DOUBLE, healpix INTEGER, same_as INTEGER,
	CONSTRAINT pk_source PRIMARY KEY (source_id),
	CONSTRAINT fk_source_sky_id_sky FOREIGN KEY(sky_id) REFERENCES sky (sky_id)
);
CREATE INDEX ix_source_sky_id ON source (sky_id);
CREATE TABLE aperture (
	graph_pid BIGINT NOT NULL,
	aperture SMALLINT NOT NULL,
	observation_id INTEGER NOT NULL,
	radius DOUBLE NOT NULL,
	annulus_inner DOUBLE NOT NULL,
	annulus_outer DOUBLE NOT NULL, factor DOUBLE, kind VARCHAR(8) DEFAULT 'circle' NOT NULL, sky VARCHAR(8) DEFAULT 'annulus' NOT NULL, fwhm DOUBLE,
	CONSTRAINT pk_aperture PRIMARY KEY (graph_pid, aperture),
	CONSTRAINT fk_aperture_observation_id_observation FOREIGN KEY(observation_id) REFERENCES observation (observation_id)
);
CREATE INDEX ix_aperture_observation_id ON aperture (observation_id);
CREATE TABLE image (
	image_id INTEGER NOT NULL,
	kind VARCHAR(16) NOT NULL,
	observation_id INTEGER,
	site_id INTEGER NOT NULL,
	pid BIGINT,
	graph_pid BIGINT,
	path TEXT NOT NULL,
	path_digest VARCHAR(32) NOT NULL,
	nx INTEGER,
	ny INTEGER,
	size_bytes BIGINT,
	exposure_s DOUBLE,
	start_jd_utc DOUBLE,
	jd_utc DOUBLE,
	bjd_tdb DOUBLE,
	gain DOUBLE,
	gain_source VARCHAR(32),
	read_noise DOUBLE,
	saturation DOUBLE,
	background DOUBLE,
	background_rms DOUBLE,
	star_count INTEGER,
	fwhm DOUBLE,
	ellipticity DOUBLE,
	good BOOLEAN,
	reject_reason TEXT,
	weight DOUBLE, deleted_at DATETIME, dark_electrons DOUBLE, flat_error DOUBLE, linearity DOUBLE, airmass DOUBLE, altitude_deg DOUBLE, azimuth_deg DOUBLE, scintillation DOUBLE, hot_pixels INTEGER, cosmic_rays INTEGER, trails INTEGER, read_noise_source VARCHAR(32), hjd_utc DOUBLE, jd_tdb DOUBLE, observer_x DOUBLE, observer_y DOUBLE, observer_z DOUBLE, header_digest VARCHAR(32), temperature_c DOUBLE, geometry TEXT, file_x DOUBLE, file_y DOUBLE, file_step DOUBLE,
	CONSTRAINT pk_image PRIMARY KEY (image_id),
	CONSTRAINT fk_image_observation_id_observation FOREIGN KEY(observation_id) REFERENCES observation (observation_id),
	CONSTRAINT fk_image_site_id_site FOREIGN KEY(site_id) REFERENCES site (site_id),
	CONSTRAINT uq_image_path_digest UNIQUE (path_digest),
	CONSTRAINT uq_image_pid UNIQUE (pid)
);
CREATE INDEX ix_image_graph_pid_kind ON image (graph_pid, kind);
CREATE INDEX ix_image_observation_id_kind ON image (observation_id, kind);
CREATE TABLE process (
	pid BIGINT NOT NULL,
	graph_pid BIGINT NOT NULL,
	command VARCHAR(32) NOT NULL,
	parameters TEXT NOT NULL,
	site_id INTEGER NOT NULL,
	group_id INTEGER NOT NULL,
	observation_id INTEGER,
	status VARCHAR(9) NOT NULL,
	priority INTEGER NOT NULL,
	pending INTEGER NOT NULL,
	propagated BOOLEAN NOT NULL,
	attempt SMALLINT NOT NULL,
	max_attempts SMALLINT NOT NULL,
	not_before DATETIME,
	sent_at DATETIME,
	created_at DATETIME NOT NULL,
	finished_at DATETIME,
	error_class VARCHAR(16),
	error TEXT, origin_pid BIGINT, choices_id INTEGER, generation SMALLINT DEFAULT '0' NOT NULL, result_key VARCHAR(64), slow_attempt SMALLINT, slow_consumer VARCHAR(128),
	CONSTRAINT pk_process PRIMARY KEY (pid),
	CONSTRAINT ck_process_status CHECK (status IN ('waiting', 'queued', 'running', 'succeeded', 'failed', 'skipped', 'cancelled')),
	CONSTRAINT fk_process_group_id_process_group FOREIGN KEY(group_id) REFERENCES process_group (group_id),
	CONSTRAINT fk_process_observation_id_observation FOREIGN KEY(observation_id) REFERENCES observation (observation_id),
	CONSTRAINT fk_process_site_id_site FOREIGN KEY(site_id) REFERENCES site (site_id)
);
CREATE INDEX ix_process_graph_pid ON process (graph_pid);
CREATE INDEX ix_process_observation_id_command_status ON process (observation_id, command, status);
CREATE INDEX ix_process_propagated_status_pid ON process (propagated, status, pid);
CREATE TABLE source_crossmatch (
	source_id INTEGER NOT NULL,
	match_rank SMALLINT NOT NULL,
	pid BIGINT NOT NULL,
	gaia_source_id BIGINT NOT NULL,
	distance_arcsec DOUBLE NOT NULL,
	g_mag DOUBLE,
	bp_mag DOUBLE,
	rp_mag DOUBLE,
	parallax_mas DOUBLE,
	variable BOOLEAN, ra_deg DOUBLE, dec_deg DOUBLE, is_match BOOLEAN,
	CONSTRAINT pk_source_crossmatch PRIMARY KEY (source_id, match_rank),
	CONSTRAINT fk_source_crossmatch_source_id_source FOREIGN KEY(source_id) REFERENCES source (source_id)
);
CREATE INDEX ix_source_crossmatch_gaia_source_id ON source_crossmatch (gaia_source_id);
CREATE TABLE source_position (
	pid BIGINT NOT NULL,
	source_id INTEGER NOT NULL,
	x DOUBLE NOT NULL,
	y DOUBLE NOT NULL,
	flux DOUBLE,
	flux_error DOUBLE,
	fwhm DOUBLE,
	ellipticity DOUBLE,
	flag INTEGER NOT NULL, semi_major DOUBLE, semi_minor DOUBLE, theta_deg DOUBLE, kron_radius DOUBLE,
	CONSTRAINT pk_source_position PRIMARY KEY (pid, source_id),
	CONSTRAINT fk_source_position_source_id_source FOREIGN KEY(source_id) REFERENCES source (source_id)
);
CREATE INDEX ix_source_position_source_id ON source_position (source_id);
CREATE TABLE image_parent (
	image_id INTEGER NOT NULL,
	parent_id INTEGER NOT NULL,
	CONSTRAINT pk_image_parent PRIMARY KEY (image_id, parent_id),
	CONSTRAINT fk_image_parent_image_id_image FOREIGN KEY(image_id) REFERENCES image (image_id),
	CONSTRAINT fk_image_parent_parent_id_image FOREIGN KEY(parent_id) REFERENCES image (image_id)
);
CREATE INDEX ix_image_parent_parent_id ON image_parent (parent_id);
CREATE TABLE process_attempt (
	pid BIGINT NOT NULL,
	attempt SMALLINT NOT NULL,
	worker VARCHAR(128) NOT NULL,
	host VARCHAR(128) NOT NULL,
	version VARCHAR(32) NOT NULL,
	started_at DATETIME NOT NULL,
	finished_at DATETIME,
	outcome VARCHAR(16),
	seconds DOUBLE,
	cpu_seconds DOUBLE,
	max_rss_bytes BIGINT,
	read_bytes BIGINT,
	write_bytes BIGINT,
	error_class VARCHAR(16),
	error TEXT,
	traceback TEXT,
	CONSTRAINT pk_process_attempt PRIMARY KEY (pid, attempt),
	CONSTRAINT fk_process_attempt_pid_process FOREIGN KEY(pid) REFERENCES process (pid)
);
CREATE TABLE process_dependence (
	parent_pid BIGINT NOT NULL,
	child_pid BIGINT NOT NULL,
	required BOOLEAN NOT NULL,
	CONSTRAINT pk_process_dependence PRIMARY KEY (parent_pid, child_pid),
	CONSTRAINT fk_process_dependence_child_pid_process FOREIGN KEY(child_pid) REFERENCES process (pid),
	CONSTRAINT fk_process_dependence_parent_pid_process FOREIGN KEY(parent_pid) REFERENCES process (pid)
);
CREATE INDEX ix_process_dependence_child_pid ON process_dependence (child_pid);
CREATE TABLE sky_image (
	sky_id INTEGER NOT NULL,
	image_id INTEGER NOT NULL,
	role VARCHAR(16) NOT NULL,
	CONSTRAINT pk_sky_image PRIMARY KEY (sky_id, image_id),
	CONSTRAINT fk_sky_image_image_id_image FOREIGN KEY(image_id) REFERENCES image (image_id),
	CONSTRAINT fk_sky_image_sky_id_sky FOREIGN KEY(sky_id) REFERENCES sky (sky_id)
);
CREATE TABLE paused_group (
	site_id INTEGER NOT NULL,
	group_id INTEGER NOT NULL,
	paused_at DATETIME NOT NULL,
	CONSTRAINT pk_paused_group PRIMARY KEY (site_id, group_id),
	CONSTRAINT fk_paused_group_group_id_process_group FOREIGN KEY(group_id) REFERENCES process_group (group_id),
	CONSTRAINT fk_paused_group_site_id_site FOREIGN KEY(site_id) REFERENCES site (site_id)
);
CREATE TABLE service (
	name VARCHAR(128) NOT NULL,
	kind VARCHAR(16) NOT NULL,
	state VARCHAR(16) NOT NULL,
	host VARCHAR(128) NOT NULL,
	version VARCHAR(32) NOT NULL,
	site_id INTEGER,
	group_names TEXT NOT NULL,
	slots INTEGER NOT NULL,
	started_at DATETIME NOT NULL,
	alive_until DATETIME NOT NULL, trouble TEXT, trouble_since DATETIME, trouble_until DATETIME, revision VARCHAR(32),
	CONSTRAINT pk_service PRIMARY KEY (name),
	CONSTRAINT fk_service_site_id_site FOREIGN KEY(site_id) REFERENCES site (site_id)
);
CREATE INDEX ix_process_ready ON process (status, pending, site_id, group_id, priority, pid);
CREATE TABLE aperture_correction (
	image_id INTEGER NOT NULL,
	aperture SMALLINT NOT NULL,
	correction DOUBLE NOT NULL,
	correction_error DOUBLE,
	stars INTEGER NOT NULL,
	CONSTRAINT pk_aperture_correction PRIMARY KEY (image_id, aperture)
)
 WITHOUT ROWID;
CREATE TABLE relative_calibration (
	pid BIGINT NOT NULL,
	aperture SMALLINT NOT NULL,
	observation_id INTEGER NOT NULL,
	method VARCHAR(16) NOT NULL,
	reference_stars INTEGER NOT NULL,
	reference_groups INTEGER NOT NULL,
	relaxation VARCHAR(16) NOT NULL, error_scale DOUBLE, error_source VARCHAR(16), takes_later BOOLEAN,
	CONSTRAINT pk_relative_calibration PRIMARY KEY (pid, aperture)
);
CREATE TABLE variability (
	pid BIGINT NOT NULL,
	source_id INTEGER NOT NULL,
	observation_id INTEGER NOT NULL,
	aperture SMALLINT NOT NULL,
	variability_rank INTEGER NOT NULL,
	candidate BOOLEAN NOT NULL,
	false_alarm DOUBLE,
	excess_scatter DOUBLE,
	excess_significance DOUBLE,
	stetson_j DOUBLE,
	stetson_k DOUBLE,
	von_neumann DOUBLE,
	sine_period_d DOUBLE,
	sine_amplitude DOUBLE,
	sine_false_alarm DOUBLE,
	box_period_d DOUBLE,
	box_depth DOUBLE,
	box_duration_d DOUBLE,
	box_mid_bjd DOUBLE,
	box_snr DOUBLE,
	box_false_alarm DOUBLE, leading_test VARCHAR(24), suspicion INTEGER, sine_period_error_d DOUBLE, night_trend DOUBLE,
	CONSTRAINT pk_variability PRIMARY KEY (pid, source_id)
);
CREATE INDEX ix_variability_source_id ON variability (source_id);
CREATE INDEX ix_source_healpix ON source (healpix);
CREATE TABLE sky_registry (
	registry_id INTEGER NOT NULL,
	registrations BIGINT NOT NULL,
	CONSTRAINT pk_sky_registry PRIMARY KEY (registry_id)
);
CREATE TABLE plate_solution (
	pid BIGINT NOT NULL,
	image_id INTEGER NOT NULL,
	observation_id INTEGER,
	solved BOOLEAN NOT NULL,
	solver VARCHAR(16),
	reason TEXT,
	ra_deg DOUBLE,
	dec_deg DOUBLE,
	radius_deg DOUBLE,
	pixel_scale_arcsec DOUBLE,
	position_angle_deg DOUBLE,
	mirrored BOOLEAN,
	sip_degree SMALLINT,
	matches INTEGER,
	rms_arcsec DOUBLE,
	wcs TEXT,
	CONSTRAINT pk_plate_solution PRIMARY KEY (pid)
);
CREATE INDEX ix_plate_solution_image_id ON plate_solution (image_id);
CREATE TABLE named_object (
	name VARCHAR(128) NOT NULL,
	shown_name VARCHAR(128) NOT NULL,
	ra_deg DOUBLE NOT NULL,
	dec_deg DOUBLE NOT NULL,
	pm_ra_mas DOUBLE,
	pm_dec_mas DOUBLE,
	origin VARCHAR(16) NOT NULL,
	created_at DATETIME NOT NULL,
	CONSTRAINT pk_named_object PRIMARY KEY (name)
);
CREATE TABLE zero_point (
	pid BIGINT NOT NULL,
	image_id INTEGER NOT NULL,
	aperture SMALLINT NOT NULL,
	observation_id INTEGER NOT NULL,
	zero_point DOUBLE NOT NULL,
	zero_point_error DOUBLE NOT NULL,
	colour_term DOUBLE NOT NULL,
	colour_reference DOUBLE NOT NULL,
	field_u DOUBLE NOT NULL,
	field_v DOUBLE NOT NULL,
	field_uu DOUBLE NOT NULL,
	field_uv DOUBLE NOT NULL,
	field_vv DOUBLE NOT NULL,
	scatter DOUBLE NOT NULL,
	stars INTEGER NOT NULL,
	transparency DOUBLE,
	CONSTRAINT pk_zero_point PRIMARY KEY (pid, image_id, aperture)
)
 WITHOUT ROWID;
CREATE TABLE zero_point_star (
	pid BIGINT NOT NULL,
	source_id INTEGER NOT NULL,
	u DOUBLE NOT NULL,
	v DOUBLE NOT NULL,
	colour DOUBLE NOT NULL,
	colour_error DOUBLE NOT NULL,
	used BOOLEAN NOT NULL, colour_known BOOLEAN,
	CONSTRAINT pk_zero_point_star PRIMARY KEY (pid, source_id)
)
 WITHOUT ROWID;
CREATE INDEX ix_source_same_as ON source (same_as);
CREATE TABLE published_choices (
	choices_id INTEGER NOT NULL,
	digest VARCHAR(64) NOT NULL,
	version VARCHAR(32) NOT NULL,
	choices TEXT NOT NULL,
	CONSTRAINT pk_published_choices PRIMARY KEY (choices_id),
	CONSTRAINT uq_published_choices_digest UNIQUE (digest)
);
CREATE TABLE alignment (
	image_id INTEGER NOT NULL,
	pid BIGINT NOT NULL,
	dx DOUBLE,
	dy DOUBLE,
	rotation_deg DOUBLE,
	scale DOUBLE,
	rms DOUBLE,
	matches INTEGER,
	light DOUBLE, is_newest BOOLEAN DEFAULT 1,
	CONSTRAINT pk_alignment PRIMARY KEY (image_id, pid)
)
 WITHOUT ROWID;
CREATE TABLE verdict (
	image_id INTEGER NOT NULL,
	pid BIGINT NOT NULL,
	good BOOLEAN NOT NULL,
	weight DOUBLE NOT NULL,
	reason TEXT,
	transparency DOUBLE,
	gain DOUBLE,
	gain_error DOUBLE, is_newest BOOLEAN DEFAULT 1,
	CONSTRAINT pk_verdict PRIMARY KEY (image_id, pid)
)
 WITHOUT ROWID;
CREATE TABLE frame_sight (
	image_id INTEGER NOT NULL,
	pid BIGINT NOT NULL,
	bjd_tdb DOUBLE,
	hjd_utc DOUBLE,
	jd_tdb DOUBLE,
	observer_x DOUBLE,
	observer_y DOUBLE,
	observer_z DOUBLE,
	airmass DOUBLE,
	altitude_deg DOUBLE,
	azimuth_deg DOUBLE, is_newest BOOLEAN DEFAULT 1,
	CONSTRAINT pk_frame_sight PRIMARY KEY (image_id, pid)
)
 WITHOUT ROWID;
CREATE TABLE masked_pixels (
	image_id INTEGER NOT NULL,
	pid BIGINT NOT NULL,
	hot_pixels INTEGER NOT NULL,
	cosmic_rays INTEGER NOT NULL, is_newest BOOLEAN DEFAULT 1,
	CONSTRAINT pk_masked_pixels PRIMARY KEY (image_id, pid)
)
 WITHOUT ROWID;
CREATE TABLE reference_frame (
	pid BIGINT NOT NULL,
	image_id INTEGER NOT NULL,
	CONSTRAINT pk_reference_frame PRIMARY KEY (pid)
);
CREATE TABLE rejection (
	rejection_id INTEGER NOT NULL,
	image_id INTEGER NOT NULL,
	pid BIGINT,
	reason TEXT,
	CONSTRAINT pk_rejection PRIMARY KEY (rejection_id)
);
CREATE INDEX ix_reference_frame_image_id ON reference_frame (image_id);
CREATE INDEX ix_rejection_image_id ON rejection (image_id);
CREATE INDEX ix_process_result_key ON process (result_key);
CREATE TABLE made_view (
	name VARCHAR(64) NOT NULL,
	digest VARCHAR(32) NOT NULL,
	server_digest VARCHAR(32) NOT NULL,
	CONSTRAINT pk_made_view PRIMARY KEY (name)
);
CREATE TABLE leader (
	leader_id INTEGER NOT NULL,
	term BIGINT NOT NULL,
	lock_name VARCHAR(64) NOT NULL,
	connection_id BIGINT NOT NULL,
	host VARCHAR(128) NOT NULL,
	since DATETIME NOT NULL,
	CONSTRAINT pk_leader PRIMARY KEY (leader_id)
);
CREATE TABLE read_key (
	read_key VARCHAR(64) NOT NULL,
	pid BIGINT NOT NULL,
	CONSTRAINT pk_read_key PRIMARY KEY (read_key)
);
CREATE TABLE queue_state (
	site_id INTEGER NOT NULL,
	group_id INTEGER NOT NULL,
	silent_since DATETIME,
	reason TEXT,
	dead_letters INTEGER NOT NULL,
	CONSTRAINT pk_queue_state PRIMARY KEY (site_id, group_id),
	CONSTRAINT fk_queue_state_group_id_process_group FOREIGN KEY(group_id) REFERENCES process_group (group_id),
	CONSTRAINT fk_queue_state_site_id_site FOREIGN KEY(site_id) REFERENCES site (site_id)
);
CREATE TABLE unwanted_rows (
	graph_pid BIGINT NOT NULL,
	pid BIGINT NOT NULL,
	CONSTRAINT pk_unwanted_rows PRIMARY KEY (graph_pid, pid)
);
CREATE TABLE frame_note (
	image_id INTEGER NOT NULL,
	number INTEGER NOT NULL,
	note TEXT NOT NULL,
	CONSTRAINT pk_frame_note PRIMARY KEY (image_id, number),
	CONSTRAINT fk_frame_note_image_id_image FOREIGN KEY(image_id) REFERENCES image (image_id)
);
CREATE TABLE "lease" (
	pid BIGINT NOT NULL,
	attempt SMALLINT NOT NULL,
	worker VARCHAR(128) NOT NULL,
	lease_until DATETIME NOT NULL,
	CONSTRAINT pk_lease PRIMARY KEY (pid, attempt),
	CONSTRAINT fk_lease_pid_process FOREIGN KEY(pid) REFERENCES process (pid)
);
CREATE INDEX ix_lease_lease_until ON lease (lease_until);
CREATE TABLE "observation" (
	observation_id INTEGER NOT NULL,
	target_id INTEGER NOT NULL,
	filter_id INTEGER NOT NULL,
	instrument_id INTEGER NOT NULL,
	obs_site_id INTEGER,
	exposure_s DOUBLE NOT NULL,
	binning VARCHAR(8) NOT NULL,
	night DATE NOT NULL,
	created_at DATETIME NOT NULL,
	sky_id INTEGER,
	graph_pid BIGINT,
	calibration_pid BIGINT,
	analysis_pid BIGINT,
	detrend_pid BIGINT,
	ra_deg DOUBLE,
	dec_deg DOUBLE,
	pixel_scale_arcsec DOUBLE,
	zero_point_pid BIGINT,
	site_id INTEGER NOT NULL,
	setting VARCHAR(64) NOT NULL,
	reduced VARCHAR(3) NOT NULL,
	geometry VARCHAR(64) NOT NULL, position_angle_deg DOUBLE, mirrored BOOLEAN,
	CONSTRAINT pk_observation PRIMARY KEY (observation_id),
	CONSTRAINT fk_observation_sky_id_sky FOREIGN KEY(sky_id) REFERENCES sky (sky_id),
	CONSTRAINT fk_observation_site_id_site FOREIGN KEY(site_id) REFERENCES site (site_id),
	CONSTRAINT fk_observation_obs_site_id_obs_site FOREIGN KEY(obs_site_id) REFERENCES obs_site (obs_site_id),
	CONSTRAINT fk_observation_target_id_target FOREIGN KEY(target_id) REFERENCES target (target_id),
	CONSTRAINT fk_observation_instrument_id_instrument FOREIGN KEY(instrument_id) REFERENCES instrument (instrument_id),
	CONSTRAINT fk_observation_filter_id_filter FOREIGN KEY(filter_id) REFERENCES filter (filter_id),
	CONSTRAINT uq_observation_same UNIQUE (target_id, filter_id, instrument_id, exposure_s, binning, night, site_id, setting, reduced, geometry)
);
CREATE TABLE alert (
	observation_id INTEGER NOT NULL,
	source_id INTEGER NOT NULL,
	found_at DATETIME NOT NULL,
	body TEXT NOT NULL,
	sent_at DATETIME,
	refusal TEXT,
	CONSTRAINT pk_alert PRIMARY KEY (observation_id, source_id),
	CONSTRAINT fk_alert_observation_id_observation FOREIGN KEY(observation_id) REFERENCES observation (observation_id),
	CONSTRAINT fk_alert_source_id_source FOREIGN KEY(source_id) REFERENCES source (source_id)
);
CREATE TABLE told_place (
	observation_id INTEGER NOT NULL,
	number INTEGER NOT NULL,
	told_by VARCHAR(64) NOT NULL,
	ra_deg DOUBLE NOT NULL,
	dec_deg DOUBLE NOT NULL,
	CONSTRAINT pk_told_place PRIMARY KEY (observation_id, number),
	CONSTRAINT fk_told_place_observation_id_observation FOREIGN KEY(observation_id) REFERENCES observation (observation_id)
);
CREATE TABLE captured_frame (
	image_id INTEGER NOT NULL,
	pid BIGINT NOT NULL,
	header_digest VARCHAR(32) NOT NULL,
	CONSTRAINT pk_captured_frame PRIMARY KEY (image_id),
	CONSTRAINT fk_captured_frame_image_id_image FOREIGN KEY(image_id) REFERENCES image (image_id),
	CONSTRAINT uq_captured_frame_pid UNIQUE (pid)
);
CREATE TABLE upkeep (
	upkeep_id INTEGER NOT NULL,
	oldest_revision VARCHAR(32) NOT NULL,
	images_held_by VARCHAR(128),
	images_held_since DATETIME,
	images_held_until DATETIME,
	CONSTRAINT pk_upkeep PRIMARY KEY (upkeep_id)
);
CREATE TABLE package (
	image_id INTEGER NOT NULL,
	sha256 VARCHAR(64) NOT NULL,
	content_sha256 VARCHAR(64) NOT NULL,
	content_bytes BIGINT NOT NULL,
	CONSTRAINT pk_package PRIMARY KEY (image_id)
);
CREATE TABLE wcs_claim (
	image_id INTEGER NOT NULL,
	pid BIGINT NOT NULL,
	wcs TEXT,
	CONSTRAINT pk_wcs_claim PRIMARY KEY (image_id, pid)
);
CREATE TABLE retention_run (
	run_id INTEGER NOT NULL,
	site_id INTEGER,
	host VARCHAR(128) NOT NULL,
	started_at DATETIME NOT NULL,
	finished_at DATETIME NOT NULL,
	files INTEGER NOT NULL,
	size_bytes BIGINT NOT NULL,
	deleted_rows BIGINT NOT NULL,
	deleted_attempts INTEGER NOT NULL,
	failures TEXT,
	CONSTRAINT pk_retention_run PRIMARY KEY (run_id),
	CONSTRAINT fk_retention_run_site_id_site FOREIGN KEY(site_id) REFERENCES site (site_id)
);
CREATE TABLE later_frame (
	calibration_pid BIGINT NOT NULL,
	image_id INTEGER NOT NULL,
	pid BIGINT NOT NULL,
	CONSTRAINT pk_later_frame PRIMARY KEY (calibration_pid, image_id)
);
CREATE TABLE candidate_verdict (
	verdict_id INTEGER NOT NULL,
	observation_id INTEGER NOT NULL,
	source_id INTEGER NOT NULL,
	verdict VARCHAR(16) NOT NULL,
	note TEXT,
	author VARCHAR(64),
	given_at DATETIME NOT NULL,
	CONSTRAINT pk_candidate_verdict PRIMARY KEY (verdict_id),
	CONSTRAINT fk_candidate_verdict_observation_id_observation FOREIGN KEY(observation_id) REFERENCES observation (observation_id),
	CONSTRAINT fk_candidate_verdict_source_id_source FOREIGN KEY(source_id) REFERENCES source (source_id)
);
CREATE TABLE standard_transformation (
	pid BIGINT NOT NULL,
	aperture SMALLINT NOT NULL,
	observation_id INTEGER NOT NULL,
	band VARCHAR(8) NOT NULL,
	origin VARCHAR(16) NOT NULL,
	colour_term DOUBLE NOT NULL,
	colour_term_error DOUBLE NOT NULL,
	colour_reference DOUBLE NOT NULL,
	colour_low DOUBLE NOT NULL,
	colour_high DOUBLE NOT NULL,
	systematic DOUBLE,
	scatter DOUBLE NOT NULL,
	stars INTEGER NOT NULL,
	CONSTRAINT pk_standard_transformation PRIMARY KEY (pid, aperture)
);
CREATE TABLE standard_zero_point (
	pid BIGINT NOT NULL,
	image_id INTEGER NOT NULL,
	aperture SMALLINT NOT NULL,
	zero_point DOUBLE NOT NULL,
	zero_point_error DOUBLE NOT NULL,
	field_u DOUBLE NOT NULL,
	field_v DOUBLE NOT NULL,
	field_uu DOUBLE NOT NULL,
	field_uv DOUBLE NOT NULL,
	field_vv DOUBLE NOT NULL,
	scatter DOUBLE NOT NULL,
	stars INTEGER NOT NULL,
	CONSTRAINT pk_standard_zero_point PRIMARY KEY (pid, image_id, aperture)
)
 WITHOUT ROWID;
CREATE TABLE forced_place (
	pid BIGINT NOT NULL,
	place SMALLINT NOT NULL,
	observation_id INTEGER NOT NULL,
	graph_pid BIGINT NOT NULL,
	name VARCHAR(128) NOT NULL,
	ra_deg DOUBLE NOT NULL,
	dec_deg DOUBLE NOT NULL,
	x DOUBLE,
	y DOUBLE,
	u DOUBLE,
	v DOUBLE,
	inside BOOLEAN NOT NULL,
	nearest_source_id INTEGER,
	nearest_arcsec DOUBLE,
	is_source BOOLEAN NOT NULL,
	CONSTRAINT pk_forced_place PRIMARY KEY (pid, place)
);
CREATE INDEX ix_forced_place_observation_id ON forced_place (observation_id);
CREATE TABLE forced_flux (
	placed_pid BIGINT NOT NULL,
	place SMALLINT NOT NULL,
	image_id INTEGER NOT NULL,
	aperture SMALLINT NOT NULL,
	pid BIGINT NOT NULL,
	flux DOUBLE,
	flux_error DOUBLE,
	flag SMALLINT NOT NULL,
	CONSTRAINT pk_forced_flux PRIMARY KEY (placed_pid, place, image_id, aperture, pid)
)
 WITHOUT ROWID;
CREATE TABLE forced_term (
	placed_pid BIGINT NOT NULL,
	place SMALLINT NOT NULL,
	image_id INTEGER NOT NULL,
	aperture SMALLINT NOT NULL,
	pid BIGINT NOT NULL,
	term DOUBLE NOT NULL,
	term_error DOUBLE NOT NULL,
	error_factor DOUBLE NOT NULL,
	CONSTRAINT pk_forced_term PRIMARY KEY (placed_pid, place, image_id, aperture, pid)
)
 WITHOUT ROWID;
CREATE UNIQUE INDEX ix_alignment_is_newest_image_id ON alignment (is_newest, image_id);
CREATE UNIQUE INDEX ix_verdict_is_newest_image_id ON verdict (is_newest, image_id);
CREATE UNIQUE INDEX ix_frame_sight_is_newest_image_id ON frame_sight (is_newest, image_id);
CREATE UNIQUE INDEX ix_masked_pixels_is_newest_image_id ON masked_pixels (is_newest, image_id);
INSERT INTO "alembic_version" VALUES ('0032');
INSERT INTO "sky_registry" VALUES (1, 0);
INSERT INTO "upkeep" VALUES (1, '0032', NULL, NULL, NULL)
