"""How a decider is learned: A2C and DQN on RLlib's new API stack. The only package that imports Ray."""
