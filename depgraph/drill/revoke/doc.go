// Package revoke takes a role's access to a DynamoDB table away for real, for a
// few minutes, in a way that ends by itself.
//
// What is written is a Deny with a window of time, decided by AWS's clock at
// each request: it opens and closes without another call, so that the
// revocation ends even if this program, its machine or its network dies. Around
// it are four more layers: the statement is taken out again on return, by a
// [Revert] from the journal that is on disk before anything is written, and by
// [Sweep]; and no window is longer than an hour.
//
// A sentinel travels in the same document: a second Deny, in force at once, on
// a read that nobody uses. When a probe under the role is denied, the document
// has arrived; until then nothing is said to be armed.
//
// [Table] writes to the table's resource policy, [Role] to the role's inline
// policies. [SessionCredentials] writes nothing: the denial is in one session.
//
// Nothing here has been run against AWS itself; the tests run against
// dynamotest and ststest, which evaluate what is written.
//
// Which file to read first: plan.go makes what is to be written, without a call.
// table.go and role.go write it, each from Inject at the top to Revert and Sweep;
// document.go is how statements are put into somebody else's policy and taken out
// again; journal.go is what survives the program. session.go is the way that writes
// nothing, and fis.go prints a template for a way that is not taken here.
//
// The words: a plan is the text and its window; armed means that the sentinel was
// denied, so the window will open; a revocation is over when its window has closed,
// and undone when its statements are gone, which takes somebody to remove them.
package revoke
