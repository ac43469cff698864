"""The words of a verdict, in the order in which they are told: threats, and reasons why one is not survived."""

REASONS = (
    "volume_not_scanned",
    "scan_incomplete",
    "path_not_mapped",
    "never_copied",
    "excluded_by_backup",
    "conflict",
    "changed_since_copy",
    "same_volume_only",
    "same_system_only",
    "same_site_only",
    "mirror_only",
    "retention_too_short",
    "not_immutable_or_offline",
    "key_lost",
    "metadata_match_only",
    "never_verified",
    "verification_too_old",
)
THREATS = ("user_error", "ransomware", "system_failure", "facility_outage")
