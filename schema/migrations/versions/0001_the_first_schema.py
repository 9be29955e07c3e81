"""The first schema"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from schema.base import MEASUREMENT_OPTIONS, TABLE_OPTIONS

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None
older_may_run = True


def upgrade() -> None:
    op.create_table(
        "filter",
        sa.Column("filter_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("filter_id", name=op.f("pk_filter")),
        sa.UniqueConstraint("name", name=op.f("uq_filter_name")),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "flux",
        sa.Column("source_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("image_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("aperture", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("flux", sa.Double(), nullable=True),
        sa.Column("flux_error", sa.Double(), nullable=True),
        sa.Column("flag", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("source_id", "image_id", "aperture", name=op.f("pk_flux")),
        **MEASUREMENT_OPTIONS,
    )
    op.create_table(
        "instrument",
        sa.Column("instrument_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("telescope", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("instrument_id", name=op.f("pk_instrument")),
        sa.UniqueConstraint("name", "telescope", name=op.f("uq_instrument_name_telescope")),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "light_curve_statistics",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("aperture", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("observation_id", sa.Integer(), nullable=False),
        sa.Column("calibration_pid", sa.BigInteger(), nullable=False),
        sa.Column("epochs", sa.Integer(), nullable=False),
        sa.Column("flux_median", sa.Double(), nullable=True),
        sa.Column("scatter", sa.Double(), nullable=True),
        sa.Column("standard_deviation", sa.Double(), nullable=True),
        sa.Column("point_to_point", sa.Double(), nullable=True),
        sa.Column("error_median", sa.Double(), nullable=True),
        sa.Column("chi2_reduced", sa.Double(), nullable=True),
        sa.Column("von_neumann", sa.Double(), nullable=True),
        sa.Column("best_aperture", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "source_id", "aperture", name=op.f("pk_light_curve_statistics")),
        **TABLE_OPTIONS,
    )
    op.create_index(op.f("ix_light_curve_statistics_source_id"), "light_curve_statistics", ["source_id"], unique=False)
    op.create_table(
        "obs_site",
        sa.Column("obs_site_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("longitude_deg", sa.Double(), nullable=True),
        sa.Column("latitude_deg", sa.Double(), nullable=True),
        sa.Column("elevation_m", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("obs_site_id", name=op.f("pk_obs_site")),
        sa.UniqueConstraint("name", name=op.f("uq_obs_site_name")),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "process_group",
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("group_id", name=op.f("pk_process_group")),
        sa.UniqueConstraint("name", name=op.f("uq_process_group_name")),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "reference_star",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("aperture", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("reference_group", sa.Integer(), nullable=False),
        sa.Column("is_reference", sa.Boolean(), nullable=False),
        sa.Column("weight", sa.Float(precision=24), nullable=True),
        sa.PrimaryKeyConstraint("pid", "source_id", "aperture", name=op.f("pk_reference_star")),
        **MEASUREMENT_OPTIONS,
    )
    op.create_table(
        "relative_flux",
        sa.Column("source_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("image_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("aperture", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("flux", sa.Double(), nullable=True),
        sa.Column("flux_error", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("source_id", "image_id", "aperture", "pid", name=op.f("pk_relative_flux")),
        **MEASUREMENT_OPTIONS,
    )
    op.create_table(
        "site",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("root", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("site_id", name=op.f("pk_site")),
        sa.UniqueConstraint("name", name=op.f("uq_site_name")),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "sky",
        sa.Column("sky_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=True),
        sa.Column("ra_deg", sa.Double(), nullable=True),
        sa.Column("dec_deg", sa.Double(), nullable=True),
        sa.Column("wcs", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mariadb").with_variant(mysql.DATETIME(fsp=6), "mysql"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("sky_id", name=op.f("pk_sky")),
        sa.UniqueConstraint("pid", name=op.f("uq_sky_pid")),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "target",
        sa.Column("target_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=5), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("ra_deg", sa.Double(), nullable=True),
        sa.Column("dec_deg", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("target_id", name=op.f("pk_target")),
        sa.UniqueConstraint("kind", "name", name=op.f("uq_target_kind_name")),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "observation",
        sa.Column("observation_id", sa.Integer(), nullable=False),
        sa.Column("target_id", sa.Integer(), nullable=False),
        sa.Column("filter_id", sa.Integer(), nullable=False),
        sa.Column("instrument_id", sa.Integer(), nullable=False),
        sa.Column("obs_site_id", sa.Integer(), nullable=True),
        sa.Column("exposure_s", sa.Double(), nullable=False),
        sa.Column("binning", sa.String(length=8), nullable=False),
        sa.Column("night", sa.Date(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mariadb").with_variant(mysql.DATETIME(fsp=6), "mysql"),
            nullable=False,
        ),
        sa.Column("sky_id", sa.Integer(), nullable=True),
        sa.Column("graph_pid", sa.BigInteger(), nullable=True),
        sa.Column("calibration_pid", sa.BigInteger(), nullable=True),
        sa.Column("analysis_pid", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["filter_id"], ["filter.filter_id"], name=op.f("fk_observation_filter_id_filter")),
        sa.ForeignKeyConstraint(
            ["instrument_id"], ["instrument.instrument_id"], name=op.f("fk_observation_instrument_id_instrument")
        ),
        sa.ForeignKeyConstraint(
            ["obs_site_id"], ["obs_site.obs_site_id"], name=op.f("fk_observation_obs_site_id_obs_site")
        ),
        sa.ForeignKeyConstraint(["sky_id"], ["sky.sky_id"], name=op.f("fk_observation_sky_id_sky")),
        sa.ForeignKeyConstraint(["target_id"], ["target.target_id"], name=op.f("fk_observation_target_id_target")),
        sa.PrimaryKeyConstraint("observation_id", name=op.f("pk_observation")),
        sa.UniqueConstraint(
            "target_id",
            "filter_id",
            "instrument_id",
            "exposure_s",
            "binning",
            "night",
            name=op.f("uq_observation_target_id_filter_id_instrument_id_exposure_s_binning_night"),
        ),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "source",
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("sky_id", sa.Integer(), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("x", sa.Double(), nullable=False),
        sa.Column("y", sa.Double(), nullable=False),
        sa.Column("ra_deg", sa.Double(), nullable=True),
        sa.Column("dec_deg", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["sky_id"], ["sky.sky_id"], name=op.f("fk_source_sky_id_sky")),
        sa.PrimaryKeyConstraint("source_id", name=op.f("pk_source")),
        **TABLE_OPTIONS,
    )
    op.create_index(op.f("ix_source_sky_id"), "source", ["sky_id"], unique=False)
    op.create_table(
        "aperture",
        sa.Column("graph_pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("aperture", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("observation_id", sa.Integer(), nullable=False),
        sa.Column("radius", sa.Double(), nullable=False),
        sa.Column("annulus_inner", sa.Double(), nullable=False),
        sa.Column("annulus_outer", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["observation_id"], ["observation.observation_id"], name=op.f("fk_aperture_observation_id_observation")
        ),
        sa.PrimaryKeyConstraint("graph_pid", "aperture", name=op.f("pk_aperture")),
        **TABLE_OPTIONS,
    )
    op.create_index(op.f("ix_aperture_observation_id"), "aperture", ["observation_id"], unique=False)
    op.create_table(
        "image",
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("observation_id", sa.Integer(), nullable=True),
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=True),
        sa.Column("graph_pid", sa.BigInteger(), nullable=True),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("path_digest", sa.String(length=32), nullable=False),
        sa.Column("nx", sa.Integer(), nullable=True),
        sa.Column("ny", sa.Integer(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("exposure_s", sa.Double(), nullable=True),
        sa.Column("start_jd_utc", sa.Double(), nullable=True),
        sa.Column("jd_utc", sa.Double(), nullable=True),
        sa.Column("bjd_tdb", sa.Double(), nullable=True),
        sa.Column("gain", sa.Double(), nullable=True),
        sa.Column("gain_source", sa.String(length=32), nullable=True),
        sa.Column("read_noise", sa.Double(), nullable=True),
        sa.Column("saturation", sa.Double(), nullable=True),
        sa.Column("background", sa.Double(), nullable=True),
        sa.Column("background_rms", sa.Double(), nullable=True),
        sa.Column("star_count", sa.Integer(), nullable=True),
        sa.Column("fwhm", sa.Double(), nullable=True),
        sa.Column("ellipticity", sa.Double(), nullable=True),
        sa.Column("reference_pid", sa.BigInteger(), nullable=True),
        sa.Column("align_pid", sa.BigInteger(), nullable=True),
        sa.Column("dx", sa.Double(), nullable=True),
        sa.Column("dy", sa.Double(), nullable=True),
        sa.Column("rotation_deg", sa.Double(), nullable=True),
        sa.Column("scale", sa.Double(), nullable=True),
        sa.Column("alignment_rms", sa.Double(), nullable=True),
        sa.Column("alignment_matches", sa.Integer(), nullable=True),
        sa.Column("select_pid", sa.BigInteger(), nullable=True),
        sa.Column("good", sa.Boolean(), nullable=True),
        sa.Column("reject_reason", sa.Text(), nullable=True),
        sa.Column("weight", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["observation_id"], ["observation.observation_id"], name=op.f("fk_image_observation_id_observation")
        ),
        sa.ForeignKeyConstraint(["site_id"], ["site.site_id"], name=op.f("fk_image_site_id_site")),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_image")),
        sa.UniqueConstraint("path_digest", name=op.f("uq_image_path_digest")),
        sa.UniqueConstraint("pid", name=op.f("uq_image_pid")),
        **TABLE_OPTIONS,
    )
    op.create_index(op.f("ix_image_graph_pid_kind"), "image", ["graph_pid", "kind"], unique=False)
    op.create_index(op.f("ix_image_observation_id_kind"), "image", ["observation_id", "kind"], unique=False)
    op.create_table(
        "process",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("graph_pid", sa.BigInteger(), nullable=False),
        sa.Column("command", sa.String(length=32), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("observation_id", sa.Integer(), nullable=True),
        sa.Column("status", sa.String(length=9), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("pending", sa.Integer(), nullable=False),
        sa.Column("propagated", sa.Boolean(), nullable=False),
        sa.Column("attempt", sa.SmallInteger(), nullable=False),
        sa.Column("max_attempts", sa.SmallInteger(), nullable=False),
        sa.Column(
            "not_before",
            sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mariadb").with_variant(mysql.DATETIME(fsp=6), "mysql"),
            nullable=True,
        ),
        sa.Column(
            "sent_at",
            sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mariadb").with_variant(mysql.DATETIME(fsp=6), "mysql"),
            nullable=True,
        ),
        sa.Column(
            "created_at",
            sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mariadb").with_variant(mysql.DATETIME(fsp=6), "mysql"),
            nullable=False,
        ),
        sa.Column(
            "finished_at",
            sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mariadb").with_variant(mysql.DATETIME(fsp=6), "mysql"),
            nullable=True,
        ),
        sa.Column("error_class", sa.String(length=16), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "status IN ('waiting', 'queued', 'running', 'succeeded', 'failed', 'skipped', 'cancelled')",
            name=op.f("ck_process_status"),
        ),
        sa.ForeignKeyConstraint(
            ["group_id"], ["process_group.group_id"], name=op.f("fk_process_group_id_process_group")
        ),
        sa.ForeignKeyConstraint(
            ["observation_id"], ["observation.observation_id"], name=op.f("fk_process_observation_id_observation")
        ),
        sa.ForeignKeyConstraint(["site_id"], ["site.site_id"], name=op.f("fk_process_site_id_site")),
        sa.PrimaryKeyConstraint("pid", name=op.f("pk_process")),
        **TABLE_OPTIONS,
    )
    op.create_index(op.f("ix_process_graph_pid"), "process", ["graph_pid"], unique=False)
    op.create_index(
        op.f("ix_process_observation_id_command_status"),
        "process",
        ["observation_id", "command", "status"],
        unique=False,
    )
    op.create_index(op.f("ix_process_propagated_status_pid"), "process", ["propagated", "status", "pid"], unique=False)
    op.create_index(
        op.f("ix_process_status_pending_priority_pid"),
        "process",
        ["status", "pending", "priority", "pid"],
        unique=False,
    )
    op.create_table(
        "source_crossmatch",
        sa.Column("source_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("match_rank", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("gaia_source_id", sa.BigInteger(), nullable=False),
        sa.Column("distance_arcsec", sa.Double(), nullable=False),
        sa.Column("g_mag", sa.Double(), nullable=True),
        sa.Column("bp_mag", sa.Double(), nullable=True),
        sa.Column("rp_mag", sa.Double(), nullable=True),
        sa.Column("parallax_mas", sa.Double(), nullable=True),
        sa.Column("variable", sa.Boolean(), nullable=True),
        sa.ForeignKeyConstraint(
            ["source_id"], ["source.source_id"], name=op.f("fk_source_crossmatch_source_id_source")
        ),
        sa.PrimaryKeyConstraint("source_id", "match_rank", name=op.f("pk_source_crossmatch")),
        **TABLE_OPTIONS,
    )
    op.create_index(op.f("ix_source_crossmatch_gaia_source_id"), "source_crossmatch", ["gaia_source_id"], unique=False)
    op.create_table(
        "source_position",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("x", sa.Double(), nullable=False),
        sa.Column("y", sa.Double(), nullable=False),
        sa.Column("flux", sa.Double(), nullable=True),
        sa.Column("flux_error", sa.Double(), nullable=True),
        sa.Column("fwhm", sa.Double(), nullable=True),
        sa.Column("ellipticity", sa.Double(), nullable=True),
        sa.Column("flag", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["source.source_id"], name=op.f("fk_source_position_source_id_source")),
        sa.PrimaryKeyConstraint("pid", "source_id", name=op.f("pk_source_position")),
        **TABLE_OPTIONS,
    )
    op.create_index(op.f("ix_source_position_source_id"), "source_position", ["source_id"], unique=False)
    op.create_table(
        "image_parent",
        sa.Column("image_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("parent_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["image.image_id"], name=op.f("fk_image_parent_image_id_image")),
        sa.ForeignKeyConstraint(["parent_id"], ["image.image_id"], name=op.f("fk_image_parent_parent_id_image")),
        sa.PrimaryKeyConstraint("image_id", "parent_id", name=op.f("pk_image_parent")),
        **TABLE_OPTIONS,
    )
    op.create_index(op.f("ix_image_parent_parent_id"), "image_parent", ["parent_id"], unique=False)
    op.create_table(
        "lease",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("attempt", sa.SmallInteger(), nullable=False),
        sa.Column("worker", sa.String(length=128), nullable=False),
        sa.Column(
            "lease_until",
            sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mariadb").with_variant(mysql.DATETIME(fsp=6), "mysql"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["pid"], ["process.pid"], name=op.f("fk_lease_pid_process")),
        sa.PrimaryKeyConstraint("pid", name=op.f("pk_lease")),
        **TABLE_OPTIONS,
    )
    op.create_index(op.f("ix_lease_lease_until"), "lease", ["lease_until"], unique=False)
    op.create_table(
        "process_attempt",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("attempt", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("worker", sa.String(length=128), nullable=False),
        sa.Column("host", sa.String(length=128), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column(
            "started_at",
            sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mariadb").with_variant(mysql.DATETIME(fsp=6), "mysql"),
            nullable=False,
        ),
        sa.Column(
            "finished_at",
            sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mariadb").with_variant(mysql.DATETIME(fsp=6), "mysql"),
            nullable=True,
        ),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("cpu_seconds", sa.Double(), nullable=True),
        sa.Column("max_rss_bytes", sa.BigInteger(), nullable=True),
        sa.Column("read_bytes", sa.BigInteger(), nullable=True),
        sa.Column("write_bytes", sa.BigInteger(), nullable=True),
        sa.Column("error_class", sa.String(length=16), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("traceback", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["pid"], ["process.pid"], name=op.f("fk_process_attempt_pid_process")),
        sa.PrimaryKeyConstraint("pid", "attempt", name=op.f("pk_process_attempt")),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "process_dependence",
        sa.Column("parent_pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("child_pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("required", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["child_pid"], ["process.pid"], name=op.f("fk_process_dependence_child_pid_process")),
        sa.ForeignKeyConstraint(["parent_pid"], ["process.pid"], name=op.f("fk_process_dependence_parent_pid_process")),
        sa.PrimaryKeyConstraint("parent_pid", "child_pid", name=op.f("pk_process_dependence")),
        **TABLE_OPTIONS,
    )
    op.create_index(op.f("ix_process_dependence_child_pid"), "process_dependence", ["child_pid"], unique=False)
    op.create_table(
        "sky_image",
        sa.Column("sky_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("image_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["image.image_id"], name=op.f("fk_sky_image_image_id_image")),
        sa.ForeignKeyConstraint(["sky_id"], ["sky.sky_id"], name=op.f("fk_sky_image_sky_id_sky")),
        sa.PrimaryKeyConstraint("sky_id", "image_id", name=op.f("pk_sky_image")),
        **TABLE_OPTIONS,
    )


def downgrade() -> None:
    op.drop_table("sky_image")
    op.drop_table("process_dependence")
    op.drop_table("process_attempt")
    op.drop_table("lease")
    op.drop_table("image_parent")
    op.drop_table("source_position")
    op.drop_table("source_crossmatch")
    op.drop_table("process")
    op.drop_table("image")
    op.drop_table("aperture")
    op.drop_table("source")
    op.drop_table("observation")
    op.drop_table("target")
    op.drop_table("sky")
    op.drop_table("site")
    op.drop_table("relative_flux")
    op.drop_table("reference_star")
    op.drop_table("process_group")
    op.drop_table("obs_site")
    op.drop_table("light_curve_statistics")
    op.drop_table("instrument")
    op.drop_table("flux")
    op.drop_table("filter")
