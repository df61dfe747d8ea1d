"""Model packs: manifests, checksums and downloads."""

from visage.packs.files import PackFile
from visage.packs.pack import Pack, find_pack, pack_folders, read_pack

__all__ = ["Pack", "PackFile", "find_pack", "pack_folders", "read_pack"]
