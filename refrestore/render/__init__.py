"""Pass 2: plan, render loop, report."""
