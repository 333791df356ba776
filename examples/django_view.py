"""A web application that leaves the slow part to a worker: Django, and the client for plain code.

    osqueue worker examples.email:jobs
    python -m examples.django_view runserver
    curl localhost:8000/signups -d email=ada@example.org

One file, so that all of it can be seen. In a project of yours, `client` and the views stand in an
app, and the last part is the project's.
"""

from __future__ import annotations

import os
import sys
from functools import cache

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, HttpResponseNotFound, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from examples.email import SendEmail, jobs
from osqueue import SyncOsqueueClient
from osqueue.errors import JobNotFoundError


@cache
def client() -> SyncOsqueueClient:
    """One for the process: any number of threads may share it, and it survives a fork."""
    url = os.environ.get("BROKER_URL", "http://localhost:8080")
    return SyncOsqueueClient(url, registry=jobs)


def sign_up(request: HttpRequest) -> JsonResponse:
    """When this is answered, the email is on its way, whatever happens to this process.

    Where a transaction must commit first, submit in ``transaction.on_commit``.
    """
    job = client().submit(SendEmail(to=request.POST["email"], subject="Welcome"))
    return JsonResponse({"job_id": job.job_id}, status=202)


def status(request: HttpRequest, job_id: str) -> JsonResponse | HttpResponseNotFound:
    try:
        return JsonResponse({"status": client().get_job(job_id).status})
    except JobNotFoundError:
        return HttpResponseNotFound("there is no such job")


urlpatterns = [
    path("signups", csrf_exempt(require_POST(sign_up))),
    path("signups/<job_id>", status),
]

if __name__ == "__main__":
    secret = "of this example"  # noqa: S105
    settings.configure(ROOT_URLCONF="examples.django_view", DEBUG=True, SECRET_KEY=secret)
    execute_from_command_line(sys.argv)
