"""The rules for mailboxes: submission, replies, withdrawal and expiry.

This package opens no sealed files.
"""
