"""The page of the API at `/docs`, made from `openapi.json`."""

from visage.web.docs.page import docs_page

__all__ = ["docs_page"]
