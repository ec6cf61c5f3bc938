// Package dynamo keeps a cache's shared tier in a DynamoDB table.
//
// [NewStore] makes the [cache.Store]; [NewClient] makes a DynamoDB client that
// cannot hang it. With the SDK's defaults a GetItem takes 93 s to fail when a
// VPC endpoint drops packets, for ever when something accepts and does not
// answer, and 3 to 5 s when DynamoDB throttles or answers with an error,
// because three attempts are made with back-off in seconds. The store passes
// its own retry options with every call, so it is safe with any client; the
// time-outs of connections belong to the client.
//
// The table has a partition key of type S, no sort key, and a time-to-live
// attribute: [CreateTable] makes one for development, and [Policy] prints the
// least IAM policy that the store needs.
//
// Reads are eventually consistent: half the price, and a cache's readers hold
// copies in memory anyway.
//
// # Map
//
// Start with store.go: the Store, its options, and the calls. A call waits for
// the first credentials (coldstart.go), is made, and what it says of the clock
// (clock.go) and of the units that it took (stats.go) is noted; an error gets
// its kind (fault.go), and credentials that are of no use are thrown away
// (renew.go). client.go has the time-outs of connections, table.go makes and
// checks the table, check.go asks at a start whether all of it can be used,
// policy.go prints the permissions, and bulletin.go lets instances tell each
// other of endings through the same table.
package dynamo
