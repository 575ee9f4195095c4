"""The gRPC services of a centre: the only part of the hub, with its client, where protobuf meets the domain."""
