"""What the appliance does, one verb per module: console, API and command line call the same."""
