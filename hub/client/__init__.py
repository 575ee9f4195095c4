"""The Python client: `HubClient` for programs that block, `AsyncHubClient` beneath it for those that do not.

with HubClient({"ops": "127.0.0.1:7410", "ecc": "127.0.0.1:7420"}) as hub:
    with hub.producer() as producer:
        producer.send("readings", rows).result()
    table = hub.query("select count(*) from readings").table()
"""

from hub.client.blocking import HubClient, Producer, QueryResult
from hub.client.calls import AsyncHubClient, AsyncQuery, verify_log
from hub.client.producer import AsyncProducer

__all__ = ["AsyncHubClient", "AsyncProducer", "AsyncQuery", "HubClient", "Producer", "QueryResult", "verify_log"]
