"""A web application that leaves the slow part to a worker: FastAPI.

osqueue worker examples.email:jobs
uvicorn examples.fastapi_app:app
curl localhost:8000/signups -d '{"email": "ada@example.org"}' -H content-type:application/json
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel, Field

from examples.email import SendEmail, jobs
from osqueue import OsqueueClient
from osqueue.errors import JobNotFoundError

BROKER_URL = os.environ.get("BROKER_URL", "http://localhost:8080")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, OsqueueClient]]:
    """One client for the life of the application; requests find it in their state."""
    async with OsqueueClient(BROKER_URL, registry=jobs) as client:
        yield {"client": client}


async def client_of(request: Request) -> OsqueueClient:
    """Tests put another one in its place: ``app.dependency_overrides[client_of]``."""
    client: OsqueueClient = request.state.client
    return client


Client = Annotated[OsqueueClient, Depends(client_of)]
app = FastAPI(lifespan=lifespan)


class Signup(BaseModel):
    email: str = Field(pattern=r".+@.+")


class Accepted(BaseModel):
    job_id: str


class Status(BaseModel):
    status: str


@app.post("/signups", status_code=202)
async def sign_up(signup: Signup, client: Client) -> Accepted:
    """When this is answered, the email is on its way, whatever happens to this process."""
    job = await client.submit(SendEmail(to=signup.email, subject="Welcome"))
    return Accepted(job_id=job.job_id)


@app.get("/signups/{job_id}")
async def status(job_id: str, client: Client) -> Status:
    try:
        return Status(status=(await client.get_job(job_id)).status)
    except JobNotFoundError as error:
        raise HTTPException(404, "there is no such job") from error
