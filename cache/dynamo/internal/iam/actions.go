package iam

import (
	"fmt"
	"slices"
	"strings"
)

// dynamoActions are those that IAM knows of DynamoDB, in lower case. Source:
// the Service Authorization Reference, "Actions, resources, and condition keys
// for Amazon DynamoDB". Some operations have none of their own:
// TransactGetItems and TransactWriteItems need those of their parts.
var dynamoActions = strings.Fields(strings.ToLower(`
	AssociateTableReplica BatchGetItem BatchWriteItem ConditionCheckItem CreateBackup CreateGlobalTable
	CreateGlobalTableWitness CreateTable CreateTableReplica DeleteBackup DeleteGlobalTableWitness DeleteItem
	DeleteResourcePolicy DeleteTable DeleteTableReplica DescribeBackup DescribeContinuousBackups
	DescribeContributorInsights DescribeEndpoints DescribeExport DescribeGlobalTable DescribeGlobalTableSettings
	DescribeImport DescribeKinesisStreamingDestination DescribeLimits DescribeReservedCapacity
	DescribeReservedCapacityOfferings DescribeStream DescribeTable DescribeTableReplicaAutoScaling
	DescribeTimeToLive DisableKinesisStreamingDestination EnableKinesisStreamingDestination
	ExportTableToPointInTime GetAbacStatus GetItem GetRecords GetResourcePolicy GetShardIterator ImportTable
	InjectError ListBackups ListContributorInsights ListExports ListGlobalTables ListImports ListStreams
	ListTables ListTagsOfResource PartiQLDelete PartiQLInsert PartiQLSelect PartiQLUpdate
	PurchaseReservedCapacityOfferings PutItem PutResourcePolicy Query ReadDataForReplication ReplicateSettings
	RestoreTableFromAwsBackup RestoreTableFromBackup RestoreTableToPointInTime Scan StartAwsBackupJob
	TagResource UntagResource UpdateAbacStatus UpdateContinuousBackups UpdateContributorInsights
	UpdateGlobalTable UpdateGlobalTableSettings UpdateGlobalTableVersion UpdateItem
	UpdateKinesisStreamingDestination UpdateTable UpdateTableReplicaAutoScaling UpdateTimeToLive
	WriteDataForReplication`))

// IsAction reports whether DynamoDB has an action of this name, without its prefix.
func IsAction(name string) bool { return slices.Contains(dynamoActions, strings.ToLower(name)) }

// checkKnown refuses an action of DynamoDB, with or without wildcards, that is
// none: a statement about it would never apply. IAM itself takes it.
func checkKnown(action string) error {
	name, ok := strings.CutPrefix(strings.ToLower(action), "dynamodb:")
	if !ok || slices.ContainsFunc(dynamoActions, func(known string) bool { return Glob(name, known) }) {
		return nil
	}
	if strings.HasPrefix(name, "transact") {
		return fmt.Errorf("%.80q is no action: a transaction needs those of its parts, such as dynamodb:PutItem", action)
	}
	return fmt.Errorf("%.80q matches no action of DynamoDB, so it would never apply", action)
}
