"""What the product does: evaluate candidates, run the loop, resume it, plan it. Written against ports alone."""
