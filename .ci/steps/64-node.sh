# The AWS SDK for JavaScript, and its document client, against dynamotest.
node_client sdk.mjs 19
