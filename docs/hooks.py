"""Adds the model card to the site of mkdocs. Its file lies beside its pack, outside docs/.

Pages link to the file, so that the links also work in the repository.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_FOLDER = "models/compact"
_PAGES = {"MODEL_CARD.md": "model-card.md", "SOURCES.md": "model-sources.md", "LICENSE.yunet": "LICENSE.yunet"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the model card and the files that it links to."""
    for name, page in _PAGES.items():
        path = Path(config.docs_dir).parent / _FOLDER / name
        files.append(File.generated(config, page, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Let links to and from those files lead to their pages."""
    for name, other in _PAGES.items():
        markdown = re.sub(rf"\]\((?:\.\./{_FOLDER}/)?{re.escape(name)}", f"]({other}", markdown)
    return markdown.replace("](../../docs/", "](")
