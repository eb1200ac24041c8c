"""All the console's routes, none of which is part of the API."""

from fastapi import APIRouter

from assay.web.console import datasets, imports, records, schemas, signing_in, static, uploads

router = APIRouter(include_in_schema=False)
for module in (static, signing_in, datasets, records, schemas, imports, uploads):
    router.include_router(module.router)
