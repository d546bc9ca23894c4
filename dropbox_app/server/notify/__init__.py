"""The daily mail, which contains a status but nothing from any message.

One program writes the status, and another sends the mail.
"""
