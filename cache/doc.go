// Package cache keeps a service answering when its shared cache is gone.
//
// A [Cache] has two tiers: local memory, and a [Store] that instances share
// (DynamoDB: package cache/dynamo). Behind them is the origin, the system of
// record, as a loader function. A fault of the shared tier, whatever its
// kind, is never visible in a result: the value comes from the origin, and
// the fault shows in Stats, in events and in the result's source.
package cache
