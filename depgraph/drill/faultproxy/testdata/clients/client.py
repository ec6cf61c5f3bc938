"""Reads an item for each line of its input: a program that knows nothing of drills."""

import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

table = boto3.resource("dynamodb", config=Config(connect_timeout=2, read_timeout=2)).Table("sessions")

for _ in sys.stdin:
    try:
        answer = table.get_item(Key={"key": "k"})["Item"]["v"][:4]
        print("ok", answer, flush=True)
    except ClientError as e:
        print("error", e.response["Error"]["Code"], flush=True)
    except (ReadTimeoutError, ConnectTimeoutError):
        print("error timeout", flush=True)
    except Exception as e:  # whatever else the network does
        print("error broken", type(e).__name__, flush=True)
