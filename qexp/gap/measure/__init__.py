"""What a campaign did, beside what simulation says it should have done."""
