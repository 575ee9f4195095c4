"""What keeps a centre's store in shape, beside its work.

| part | at | does |
| --- | --- | --- |
| `plan` | | decides what is due; pure |
| `arrange` | the leader of a log | seals hot rows, compacts and retires segments, each by a log entry |
| `repair` | each centre | finds damaged and missing segments and fetches them again; deletes what nobody needs |
"""
