// Package cache keeps a service answering when its shared cache is gone.
//
// A [Cache] has two tiers: local memory, and a [Store] that instances share
// (DynamoDB: package cache/dynamo). Behind them is the origin, the system of
// record, as a loader function. No failure of the shared tier
// ever reaches a caller: the value comes from the origin, and the failure shows
// in Stats, in events and in the result's source.
package cache
