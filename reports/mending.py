"""What would mend a control that is not met or not known to be: one sentence a reason."""

from collections.abc import Sequence

MEND = {
    "volume_not_scanned": "scan the volumes that should hold it: they were not scanned since it changed, or never",
    "scan_incomplete": "mend what the scan could not read ('lastcopy report problems'), and scan again",
    "path_not_mapped": "say in 'path_map' where its path belongs on the volumes that protect it",
    "never_copied": "copy it to a volume that may protect it",
    "excluded_by_backup": "take it out of the 'exclude' of the volume that should hold it, or of the patterns of the backup",
    "conflict": "find out which one is right: a copy with the same size and time has other content",
    "changed_since_copy": "copy it again: it changed after the copy was made",
    "same_volume_only": "copy it to another volume: another file of its own volume does not protect it",
    "same_system_only": "copy it to a volume on another storage system, or declare the 'system' of the volumes",
    "same_site_only": "copy it to a volume at another site, or declare the 'site' of the volumes",
    "mirror_only": "copy it to a volume that keeps deleted and old versions, and declare 'keeps_versions'",
    "retention_too_short": "keep versions for as long as the class's retention",
    "not_immutable_or_offline": (
        "copy it to a volume that is offline or cannot be changed, or declare 'access' and 'immutability'; "
        "immutability that is declared counts where its class has accept_declared = true"
    ),
    "key_lost": "keep its key or password on another volume as well, which survives that loss, and name it in 'key_on'",
    "metadata_match_only": "read its copy: 'lastcopy scan --digest match'; of a repository of restic on this host, install the extra 'restic'",
    "never_verified": "verify its copy as well as its class asks",
    "verification_too_old": "verify its copy again: 'lastcopy scan --again'; of a volume that others tell of, have it read, and told of anew",
}
# Where the answer is a known no, no declaration mends it: the volumes share what fails.
MEND_KNOWN = {
    "same_system_only": "copy it to a volume on another storage system: those that hold it share a system or a device with it",
    "same_site_only": "copy it to a volume at another site: those that hold it share a site or a device with it",
    "not_immutable_or_offline": "copy it to a volume that is offline or cannot be changed",
}
MEND_CONTROL = {
    "copies": "keep it on more devices",
    "systems": "keep it on more storage systems",
    "sites": "keep it at more sites",
    "regions": "keep it in more regions, which one flood or failure of the grid does not strike together, or declare the 'region' of the volumes",
    "admins": "keep it where more than one administrator would have to delete it, or declare the 'admin' of the volumes",
    "media": "keep it on more kinds of media",
    "offline_or_immutable": "keep it on more volumes that are offline or cannot be changed",
    "max_copy_age": "copy it more often",
    "min_verification_level": "verify a copy better",
    "max_verification_age": "verify a copy again",
    "retention": "keep its versions for longer",
}


def sentence(control: str, result: str, reasons: Sequence[str]) -> str:
    """What would mend a control with this result: of its reasons the first counts. Empty where nothing is known to."""
    if not reasons:
        return MEND_CONTROL.get(control, "")
    known = MEND_KNOWN if result == "not_met" else MEND
    return known.get(reasons[0], MEND.get(reasons[0], reasons[0]))
