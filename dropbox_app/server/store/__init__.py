"""What a site keeps: sealed bytes, ids and days. It knows no protocol and no rules."""
