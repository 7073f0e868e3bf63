// Command peers measures Usher beside others, in one run, as ratios: policy
// evaluation beside OPA, expr, cel-go and hand-written Go; scoring and training
// beside a bare loop; gRPC decisions beside a stock grpc-go server that echoes the
// same messages; Kafka to ClickHouse beside the usual loop.
//
// Absolute times on a shared machine say little: rounds are interleaved (A B C A B
// C ...), and the table shows the median of the ratios of each round. Before
// anything is timed, both sides must give equal answers; go test holds them to
// that on ten thousand random inputs.
//
// It is a module of its own, so that nothing of what it compares with becomes a
// dependency of the product.
package main
