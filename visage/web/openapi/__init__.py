"""The OpenAPI document, generated from the table of parameters, the classes of responses and the table of operations.

`make openapi` writes `visage/web/openapi.json`, which the service serves. Only that and the tests import this
package: it needs apispec and pydantic, which the service does not install.
"""

from visage.web.openapi.document import document

__all__ = ["document"]
