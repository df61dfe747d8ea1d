"""`python -m visage.web.openapi` writes `openapi.json`."""

import json
from pathlib import Path

from visage.web.openapi import document

if __name__ == "__main__":
    target = Path(__file__).parent.parent / "openapi.json"
    target.write_text(json.dumps(document(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
