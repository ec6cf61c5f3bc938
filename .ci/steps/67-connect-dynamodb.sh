# connect-dynamodb, a session store of Express, against dynamotest.
node_client connect.mjs 8
